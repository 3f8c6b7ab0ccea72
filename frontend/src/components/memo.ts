import { Component, type ComponentChild, type FunctionComponent } from "preact";

/** A leaf that renders again only when one of its properties is another value. */
export function memo<P extends object>(leaf: FunctionComponent<P>): new () => Component<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const names = new Set([...Object.keys(next), ...Object.keys(this.props)]);
      return [...names].some((name) => next[name as keyof P] !== this.props[name as keyof P]);
    }

    override render(props: P): ComponentChild {
      return leaf(props) as ComponentChild;
    }
  };
}
