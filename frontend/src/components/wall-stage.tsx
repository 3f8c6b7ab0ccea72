import type { ComponentChildren, JSX, RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Point } from "../api/types";
import { Camera } from "../lib/camera";
import { Gestures, type Meaning } from "../lib/gestures";
import type { Size, View } from "../lib/viewport";

interface Properties {
  photoUrl: string | null;
  size: Size;
  label: string;
  keys: string;
  /** CSS pixels at the bottom that a panel covers. */
  covered: number;
  /** What lies on the photo. */
  children: ComponentChildren;
  camera: RefObject<Camera | null>;
  onTap: (point: Point, slop: number) => void;
  /** The tap before was the first half of a double tap, and meant nothing. */
  onUntap: () => void;
  onKey: (key: string) => boolean;
  /** CSS pixels of a photo pixel, whenever the view has come to rest. */
  onSettle: (scale: number) => void;
  /** This browser cannot show the photo. */
  onUnreadable: () => void;
  /** Present while one finger draws. */
  onStroke?: Meaning["stroke"] | undefined;
}

const FINGER_PX = 16;
/** Of the bar that floats over the top. */
const BAR_PX = 66;

/** A photo that fingers, wheel and keys move, with an overlay in its pixels that stays crisp. */
export function WallStage(properties: Properties): JSX.Element {
  const { photoUrl, size, label, keys, covered, children, camera: cameraRef } = properties;
  const frame = useRef<HTMLDivElement>(null);
  const photo = useRef<HTMLImageElement>(null);
  const layer = useRef<SVGGElement>(null);
  const latest = useRef(properties);
  latest.current = properties;

  const camera = useMemo(
    () =>
      new Camera(size, {
        draw: (view) => draw(view, photo.current, layer.current),
        settle: (view) => {
          rest(view, layer.current);
          latest.current.onSettle(view.scale);
        },
        calm: () => matchMedia("(prefers-reduced-motion: reduce)").matches,
      }),
    // One camera for the stage's life; a new size is told to it below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [],
  );
  const gestures = useMemo(() => new Gestures(meaningOf(camera, latest)), [camera]);
  cameraRef.current = camera;

  useLayoutEffect(() => camera.setPhoto(size), [camera, size]);
  useFrame(frame, camera, covered);
  useWheel(frame, camera);
  useEffect(() => () => camera.stop(), [camera]);
  useLayoutEffect(() => {
    draw(camera.view, photo.current, layer.current);
    rest(camera.view, layer.current);
  }, [camera, photoUrl]);

  const at = (event: PointerEvent): Point => {
    const box = frame.current?.getBoundingClientRect();
    return [event.clientX - (box?.left ?? 0), event.clientY - (box?.top ?? 0)];
  };
  return (
    <div
      ref={frame}
      class="stage"
      role="application"
      tabIndex={0}
      aria-label={label}
      aria-description={keys}
      onPointerDown={(event) => {
        if (event.pointerType === "mouse" && event.button !== 0) return;
        frame.current?.setPointerCapture(event.pointerId);
        gestures.down(event.pointerId, at(event), event.timeStamp);
      }}
      onPointerMove={(event) => gestures.move(event.pointerId, at(event), event.timeStamp)}
      onPointerUp={(event) => gestures.up(event.pointerId, at(event), event.timeStamp)}
      onPointerCancel={(event) => gestures.cancel(event.pointerId)}
      onKeyDown={(event) => {
        if (
          !event.ctrlKey &&
          !event.metaKey &&
          !event.altKey &&
          pressed(meant(event), camera, latest.current)
        ) {
          event.preventDefault();
        }
      }}
    >
      {photoUrl !== null && (
        <img
          ref={photo}
          class="stage-photo"
          src={photoUrl}
          width={size.width}
          height={size.height}
          alt=""
          onError={properties.onUnreadable}
        />
      )}
      <svg class="stage-overlay" aria-hidden="true">
        <g ref={layer}>{children}</g>
      </svg>
    </div>
  );
}

/** Every frame of a gesture comes through here: nothing renders, two transforms change. */
function draw(view: View, photo: HTMLImageElement | null, layer: SVGGElement | null): void {
  const { scale, x, y } = view;
  if (photo !== null) photo.style.transform = `translate3d(${x}px, ${y}px, 0) scale(${scale})`;
  layer?.setAttribute("transform", `matrix(${scale} 0 0 ${scale} ${x} ${y})`);
  const zooms = Math.abs(Number(layer?.dataset["restScale"]) / scale - 1) > 0.001;
  if (layer?.classList.contains("zooming") === !zooms) layer.classList.toggle("zooming", zooms);
}

/** Labels get their size back. In every frame that would cost more than all the rest: they hide while it zooms. */
function rest({ scale }: View, layer: SVGGElement | null): void {
  if (layer === null) return;
  layer.style.setProperty("--unzoom", String(1 / scale));
  layer.dataset["restScale"] = String(scale);
  layer.classList.remove("zooming");
}

function meaningOf(camera: Camera, latest: RefObject<Properties>): Meaning {
  return {
    press: () => camera.hold(),
    drag: (dx, dy) => camera.panBy(dx, dy),
    pinch: (from, to) => camera.pinch(from, to),
    release: (speedX, speedY) => camera.fling(speedX, speedY),
    tap: (point) => latest.current.onTap(camera.toPhoto(point), FINGER_PX / camera.view.scale),
    doubleTap: (point) => {
      latest.current.onUntap();
      camera.toggleZoom(point);
    },
    stroke: (point, phase) => latest.current.onStroke?.(camera.toPhoto(point), phase) ?? false,
  };
}

/** The key as a Latin keyboard has it there: with another layout N and P are letters of that. */
function meant({ key, code }: KeyboardEvent): string {
  return /^Key[A-Z]$/.test(code) && !/^[a-z]$/i.test(key) ? code.slice(3).toLowerCase() : key;
}

function pressed(key: string, camera: Camera, properties: Properties): boolean {
  const step = 60;
  const moves: Record<string, () => void> = {
    ArrowLeft: () => camera.step(step, 0),
    ArrowRight: () => camera.step(-step, 0),
    ArrowUp: () => camera.step(0, step),
    ArrowDown: () => camera.step(0, -step),
    "+": () => camera.zoomBy(1.5),
    "=": () => camera.zoomBy(1.5),
    "-": () => camera.zoomBy(1 / 1.5),
    "0": () => camera.showAll(),
  };
  const move = moves[key];
  if (move === undefined) return properties.onKey(key);
  move();
  return true;
}

function useFrame(frame: RefObject<HTMLDivElement | null>, camera: Camera, covered: number): void {
  useLayoutEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const measure = (): void => {
      const [width, height] = [element.clientWidth, element.clientHeight - covered - BAR_PX];
      camera.setFrame({ width, height, top: BAR_PX });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [frame, camera, covered]);
}

function useWheel(frame: RefObject<HTMLDivElement | null>, camera: Camera): void {
  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const turn = (event: WheelEvent): void => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const point: Point = [event.clientX - box.left, event.clientY - box.top];
      // A trackpad's pinch comes as a wheel with ctrl, in smaller steps.
      camera.zoomAt(point, Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)));
    };
    // Not passive, so that the page does not scroll: a JSX listener cannot say so.
    element.addEventListener("wheel", turn, { passive: false });
    return () => element.removeEventListener("wheel", turn);
  }, [frame, camera]);
}
