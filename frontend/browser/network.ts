// The network between phone and service: a proxy that can fail as networks do.
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Server } from "./server";

/** What the page must live with, whatever else the service says (see the service's own security headers). */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
  "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
}

export interface Network {
  readonly url: string;
  /** Every request that came, in order. */
  readonly seen: Seen[];
  /** Bytes after which a stream of events is cut, one for each stream to come. */
  readonly cuts: number[];
  /** Every connection is broken, and no new one is made. */
  down: boolean;
  /** Answers in the service's place; null lets the request through. */
  instead: (seen: Seen) => Answer | null;
  /** The service hears the request; its answer is lost. */
  loses: (seen: Seen) => boolean;
  /** Milliseconds that each chunk of a stream takes. */
  slow: number;
  close: () => Promise<void>;
}

export async function startNetwork(server: Server): Promise<Network> {
  const open = new Set<ServerResponse>();
  const proxy = createServer((incoming, outgoing) => {
    open.add(outgoing);
    outgoing.on("close", () => open.delete(outgoing));
    pass(incoming, outgoing, server, network).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  let isDown = false;
  const network: Network = {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    seen: [],
    cuts: [],
    slow: 0,
    instead: () => null,
    loses: () => false,
    get down() {
      return isDown;
    },
    set down(next: boolean) {
      isDown = next;
      if (isDown) for (const answer of open) answer.destroy();
    },
    close: async () => {
      for (const answer of open) answer.destroy();
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
  return network;
}

async function pass(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  server: Server,
  network: Network,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  if (network.down) {
    outgoing.destroy();
    return;
  }
  const { method = "GET", url: path = "/", headers } = incoming;
  const seen: Seen = { method, path, headers, body: Buffer.concat(chunks) };
  network.seen.push(seen);
  const instead = network.instead(seen);
  if (instead !== null) {
    outgoing.writeHead(instead.status, instead.headers).end(instead.body);
    return;
  }
  const answer = await ask(seen, server.port);
  if (network.loses(seen)) {
    answer.destroy();
    // The phone has seen its last byte leave by then.
    setTimeout(() => outgoing.destroy(), 400);
    return;
  }
  const isPage = /html|javascript/.test(answer.headers["content-type"] ?? "");
  outgoing.writeHead(answer.statusCode ?? 502, {
    ...answer.headers,
    ...(isPage && { "content-security-policy": POLICY }),
  });
  await copy(answer, outgoing, network);
}

function ask({ method, path, headers, body }: Seen, port: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: "127.0.0.1", port, method, path, headers }, resolve);
    asking.on("error", reject);
    asking.end(body);
  });
}

async function copy(answer: IncomingMessage, outgoing: ServerResponse, network: Network): Promise<void> {
  const isStream = answer.headers["content-type"]?.startsWith("text/event-stream") === true;
  let left = isStream ? (network.cuts.shift() ?? Infinity) : Infinity;
  outgoing.on("close", () => answer.destroy());
  for await (const chunk of answer) {
    const bytes = chunk as Buffer;
    if (isStream && network.slow > 0) await new Promise((resolve) => setTimeout(resolve, network.slow));
    outgoing.write(bytes.subarray(0, left));
    left -= bytes.length;
    if (left <= 0) {
      // What was written must leave first: a reset would take it back.
      await new Promise((resolve) => setTimeout(resolve, 30));
      outgoing.destroy();
      return;
    }
  }
  outgoing.end();
}
