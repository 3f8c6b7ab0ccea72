import type { JSX } from "preact";

/** A few holds of our own on a piece of wall: decoration. */
export function HoldShapes(): JSX.Element {
  return (
    <svg class="hold-shapes" viewBox="0 0 320 200" aria-hidden="true">
      <g class="bolts">
        {[40, 100, 160, 220, 280].flatMap((x) =>
          [30, 85, 140].map((y) => <circle key={`${x} ${y}`} cx={x} cy={y} r="2.2" />),
        )}
      </g>
      <path class="route" d="M78 158C120 140 96 108 140 100S196 70 190 54 232 34 246 34" />
      <path
        class="shape coral"
        d="M46 150c6-16 28-22 46-14s26 24 12 32-34 8-46 2-16-10-12-20zM66 152a6 6 0 1012 1 6 6 0 00-12-1z"
      />
      <path
        class="shape sky"
        d="M118 100c0-14 14-24 28-20s20 16 14 27-18 16-29 12-13-11-13-19zM132 100a6 6 0 1012 1 6 6 0 00-12-1z"
      />
      <path
        class="shape sun"
        d="M166 56c4-14 24-18 36-10s14 18 4 25-26 6-34 0-8-9-6-15zM180 56a6 6 0 1012 1 6 6 0 00-12-1z"
      />
      <path
        class="shape leaf"
        d="M228 38c-2-14 12-24 28-20s24 14 18 24-20 12-31 9-14-6-15-13zM243 36a6 6 0 1012 1 6 6 0 00-12-1z"
      />
    </svg>
  );
}
