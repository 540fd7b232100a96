// The command palette: every place and every action by a few letters; an id or a Job's name goes straight there.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "./dialog";
import { Icon, type IconName } from "./icon";

export interface Command {
  icon: IconName;
  text: string;
  note?: string;
  run: () => void;
}

export const paletteOpen = signal(false);

/** How well a text fits what was typed: its letters in their order; less is better, null fits not at all. */
export function fit(text: string, typed: string): number | null {
  const where = text.toLowerCase();
  const letters = typed.toLowerCase().replaceAll(" ", "");
  const whole = where.indexOf(typed.toLowerCase());
  if (whole >= 0) return whole;
  let at = -1;
  let cost = 50;
  for (const letter of letters) {
    const next = where.indexOf(letter, at + 1);
    if (next < 0) return null;
    cost += next - at - 1;
    at = next;
  }
  return cost;
}

export function choose(commands: Command[], typed: string): Command[] {
  return commands
    .map((command) => ({ command, cost: fit(command.text, typed) }))
    .filter((one): one is { command: Command; cost: number } => one.cost !== null)
    .sort((a, b) => a.cost - b.cost)
    .slice(0, 12)
    .map((one) => one.command);
}

interface PaletteProps {
  commands: () => Command[];
  /** What to offer for exactly what was typed, first. */
  direct: (typed: string) => Command[];
}

export function Palette({ commands, direct }: PaletteProps) {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const found = [...(typed ? direct(typed) : []), ...choose(commands(), typed)];
  const close = () => {
    paletteOpen.value = false;
  };
  const run = (command: Command | undefined) => {
    if (!command) return;
    close();
    command.run();
  };
  useEffect(() => setAt(0), [typed]);
  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);
  return (
    <Dialog label="Go to, or do" class="palette" onClose={close}>
      <input
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found.length ? `palette-${at}` : undefined}
        aria-label="Go to a page, a Job or a job's id"
        placeholder="Go to a page, a Job, a job's id …"
        value={typed}
        autoFocus
        onInput={(event) => setTyped(event.currentTarget.value)}
        onKeyDown={(event) => {
          const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
          if (step && found.length) {
            event.preventDefault();
            setAt((at + step + found.length) % found.length);
          } else if (event.key === "Enter") {
            event.preventDefault();
            run(found[at]);
          }
        }}
      />
      <ul id="palette-list" role="listbox" aria-label="Found" ref={list}>
        {found.map((command, index) => (
          <li
            key={`${command.text}-${index}`}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === at}
            onPointerMove={() => setAt(index)}
            onClick={() => run(command)}
          >
            <Icon name={command.icon} />
            <span class="cut">{command.text}</span>
            {command.note && <span class="end">{command.note}</span>}
          </li>
        ))}
        {!found.length && <li role="option" aria-selected="false" aria-disabled="true">Nothing of that name</li>}
      </ul>
    </Dialog>
  );
}
