// A part that is fetched when it is first shown: each page is one, and so are charts, whose library is half of the
// program. (Preact's own `lazy` brings the whole layer that imitates React.)

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Broken, Waiting } from "./part/empty";

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let found: ComponentType<P> | null = null;
  return function Lazily(props: P) {
    const [, setCount] = useState(0);
    const [error, setError] = useState<unknown>(null);
    useEffect(() => {
      if (found) return;
      load().then(
        (component) => {
          found = component;
          setCount((count) => count + 1);
        },
        () => setError(new Error("A part of the page could not be fetched: the gateway may have been updated. Load the page anew.")),
      );
    }, []);
    if (error) return <Broken error={error} again={() => window.location.reload()} />;
    const Found = found;
    return Found ? <Found {...props} /> : <Waiting lines={8} />;
  };
}
