// Which key does what.

import { PLACES } from "../place";
import { Dialog } from "./dialog";

const KEYS: [string[], string][] = [
  [["Ctrl", "K"], "Go to, or do"],
  [["/"], "Into the page's search field"],
  [["?"], "This list"],
  [["↑", "↓"], "Through a table that has the focus (also k, j)"],
  [["Enter"], "Open the row"],
  [["x"], "Select the row"],
  [["Esc"], "Close what is open"],
];

export function Keys({ onClose }: { onClose: () => void }) {
  const all: [string[], string][] = [...KEYS, ...PLACES.map((place): [string[], string] => [["g", place.key], place.name])];
  return (
    <Dialog label="Keyboard" onClose={onClose}>
      <div class="inside">
        <h2>Keyboard</h2>
        <dl class="pairs">
          {all.map(([keys, does]) => (
            <div key={does} style={{ display: "contents" }}>
              <dt>
                {keys.map((key) => (
                  <span key={key} class="key">
                    {key}
                  </span>
                ))}
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <div class="buttons">
          <button type="button" class="button" autoFocus onClick={onClose}>
            Close
          </button>
        </div>
      </div>
    </Dialog>
  );
}
