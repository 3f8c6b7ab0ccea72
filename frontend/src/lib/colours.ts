import type { Colour } from "../api/types";

/** In the order of a picker. */
export const COLOURS = [
  "red",
  "orange",
  "yellow",
  "lime",
  "green",
  "mint",
  "blue",
  "purple",
  "pink",
  "brown",
  "white",
  "gray",
  "black",
  "unknown",
] as const satisfies readonly Colour[];

/** How a named colour is drawn, whatever the light on the wall was. */
export const PAINT: Record<Colour, string> = {
  red: "#d92f33",
  orange: "#f77f00",
  yellow: "#f7c815",
  lime: "#a4d71e",
  green: "#2f9e44",
  mint: "#4fd6b0",
  blue: "#2f7cf6",
  purple: "#8a4fe0",
  pink: "#f25fa3",
  brown: "#8d5b3a",
  white: "#fafaf7",
  gray: "#8f959d",
  black: "#23252a",
  unknown: "#b9b3a7",
};

/** Black or white: what can be read on it. Relative luminance as WCAG 2 defines it. */
export function inkOn(paint: string): "#101113" | "#ffffff" {
  return luminance(paint) > 0.2 ? "#101113" : "#ffffff";
}

export function luminance(paint: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = parseInt(paint.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
