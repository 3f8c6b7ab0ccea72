import type { Code } from "../api/failure";

/** What went wrong, and what to do now. */
export interface Sentence {
  readonly what: string;
  readonly next: string;
}

export type Failures = Readonly<Record<Code, Sentence>>;

export const failures: Failures = {
  offline: {
    what: "You are offline",
    next: "Your photo is safe on this phone. It is sent as soon as you are back.",
  },
  offline_sent: {
    what: "You are offline",
    next: "The server has your photo and works on it. The result comes as soon as you are back.",
  },
  unreachable: {
    what: "No connection to the server",
    next: "Nothing is lost. We keep trying; you can lock your phone.",
  },
  unauthorized: { what: "This server asks for a key", next: "Enter the key that its owner gave you." },
  api_key_missing: { what: "This server asks for a key", next: "Enter the key that its owner gave you." },
  api_key_invalid: {
    what: "That key is not right",
    next: "Check it, letter by letter, or ask the owner of this server.",
  },
  host_not_trusted: {
    what: "The server is not meant to be called so",
    next: "Open the address that its owner gave you.",
  },
  forbidden: {
    what: "Your key may not do this",
    next: "Ask the owner of this server, or enter another key.",
  },
  rate_limited: {
    what: "Many photos in a short time",
    next: "The server asks for a short break. We go on by ourselves.",
  },
  not_an_image: { what: "That file is not a photo", next: "Choose a JPEG, PNG, WebP, HEIC or AVIF photo." },
  photo_unreadable: {
    what: "This photo cannot be opened",
    next: "It may be damaged. Choose another, or take a new one.",
  },
  device_full: {
    what: "Your phone is out of space",
    next: "Delete a few walls from the history, then try again.",
  },
  unexpected: { what: "Something unexpected happened", next: "Try again. If it stays, reload the app." },
  cancelled: {
    what: "The analysis was cancelled",
    next: "Its photo is erased on the server. You can send it again.",
  },
  content_type_unsupported: {
    what: "The server did not understand the upload",
    next: "Reload the app to get its newest version, then try again.",
  },
  idempotency_key_invalid: {
    what: "The server did not understand the upload",
    next: "Reload the app to get its newest version, then try again.",
  },
  idempotency_key_reused: {
    what: "This photo got mixed up with another",
    next: "Send it again: it gets a place of its own.",
  },
  internal_error: {
    what: "The server made a mistake",
    next: "Try again. If it stays, tell the owner of this server.",
  },
  corrections_invalid: {
    what: "The corrections do not fit the result",
    next: "They stay on this phone. Reload the app to get its newest version.",
  },
  corrections_not_found: {
    what: "There are no corrections",
    next: "Nothing is lost: they are on this phone.",
  },
  corrections_too_many_bytes: {
    what: "There are too many corrections",
    next: "They stay on this phone. Draw holds with fewer points.",
  },
  job_crashed: {
    what: "The server cannot cope with this photo",
    next: "It stopped twice over it. Take the photo again from another spot.",
  },
  job_not_found: {
    what: "The server no longer has this analysis",
    next: "Results are kept there for a short time. Your photo is still here: send it again.",
  },
  job_not_done: { what: "There is no result yet", next: "Wait until the analysis has ended." },
  job_timed_out: {
    what: "The analysis took too long",
    next: "The server may be busy. Try again, or with fewer holds in the picture.",
  },
  last_event_id_invalid: { what: "The app and the server lost each other", next: "Send the photo again." },
  memory_short: {
    what: "The server is short of memory",
    next: "It frees some as soon as it can. We keep trying.",
  },
  not_ready: { what: "The server is still starting", next: "Its models are loading. We go on by ourselves." },
  photo_corrupt: { what: "This photo is damaged", next: "Choose another, or take a new one." },
  photo_empty: {
    what: "The photo is empty",
    next: "It may still be loading from the cloud. Open it in your gallery first, then choose it again.",
  },
  photo_missing: {
    what: "The photo is no longer on this phone",
    next: "The browser tidied it away. Take it again.",
  },
  photo_needs_too_much_memory: {
    what: "This photo is too heavy for the server",
    next: "Take a screenshot of it, or crop it, and choose that.",
  },
  photo_too_many_bytes: {
    what: "The file is too large",
    next: "Crop the photo to the wall, then choose it again.",
  },
  photo_too_many_pixels: {
    what: "The photo has too many pixels",
    next: "Crop it to the wall, then choose it again.",
  },
  photo_too_small: { what: "The photo is too small", next: "Choose one where the holds can be told apart." },
  photo_truncated: { what: "A part of the photo is missing", next: "Choose it again, or take a new one." },
  photo_type_unsupported: {
    what: "That kind of file is not supported",
    next: "Choose a JPEG, PNG, WebP, HEIC or AVIF photo.",
  },
  queue_full: {
    what: "Many climbers are waiting",
    next: "Yours starts when a place is free. We keep trying.",
  },
  shutting_down: {
    what: "The server is restarting",
    next: "The analysis goes on once it is back. We keep trying.",
  },
  storage_full: {
    what: "The server's disk is full",
    next: "Try again later, or tell the owner of this server.",
  },
  storage_unavailable: {
    what: "The server cannot store photos now",
    next: "We keep trying. If it stays, tell the owner of this server.",
  },
  upload_malformed: {
    what: "The photo did not arrive whole",
    next: "Send it again where the network is better.",
  },
  upload_timed_out: {
    what: "The upload was too slow",
    next: "Move to where the network is better. We keep trying.",
  },
  wall_angle_unknown: {
    what: "The server does not know this wall angle",
    next: "Reload the app to get its newest version, then try again.",
  },
};
