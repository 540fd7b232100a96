// A part of the program that is fetched when it is first shown: nobody waits for pages that he does not look at.
// (Preact's own `lazy` brings the whole layer that imitates React.)

import type { ComponentType, FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ProblemError } from "./api/client";
import { Broken, Waiting } from "./part/empty";

export interface Lazy<P> extends FunctionComponent<P> {
  /** Fetch it ahead: somebody is about to go there. */
  warm: () => void;
}

/** After an upgrade of the gateway, the names of an older page's parts lead nowhere. */
function lost(): ProblemError {
  return new ProblemError(0, {
    title: "This part of the page could not be fetched",
    detail: "The gateway was updated since the page was opened, or it does not answer.",
    cure: "Load the page anew: it comes back to this very place.",
  });
}

/** `page`: it is all that is shown, so that it has the heading until the page has one. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>, { page = false } = {}): Lazy<P> {
  let found: ComponentType<P> | null = null;
  let coming: Promise<void> | null = null;
  const fetchIt = () => {
    coming ??= load().then(
      (component) => {
        found = component;
      },
      () => {
        coming = null; // whoever comes here again tries again
      },
    );
    return coming;
  };
  function Lazily(props: P) {
    const [, setCount] = useState(0);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (found) return undefined;
      let here = true;
      void fetchIt().then(() => {
        if (!here) return;
        setFailed(!found);
        setCount((count) => count + 1);
      });
      return () => {
        here = false;
      };
    }, []);
    const Found = found;
    if (Found) return <Found {...props} />;
    return (
      <>
        {page && <h1 class="unseen">{failed ? "Not fetched" : "Being fetched"}</h1>}
        {failed ? <Broken error={lost()} verb="Load anew" again={() => window.location.reload()} /> : <Waiting lines={8} />}
      </>
    );
  }
  return Object.assign(Lazily, { warm: () => void fetchIt() });
}
