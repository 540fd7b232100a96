// The browser's own dialog: it keeps the focus inside and gives it back, and Escape closes it.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface DialogProps {
  label: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
}

export function Dialog({ label, onClose, children, class: name }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal();
  }, []);
  return (
    <dialog
      ref={ref}
      class={name}
      aria-label={label}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === ref.current) ref.current?.close();
      }}
    >
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  verb: string;
  danger?: boolean | undefined;
  /** Has to be typed before it is done. */
  word?: string | undefined;
  onClose: () => void;
  onConfirm: () => Promise<unknown>;
}

export function Confirm({ title, children, verb, danger, word, onClose, onConfirm }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [typed, setTyped] = useState("");
  const ready = !busy && (!word || typed.trim() === word);
  return (
    <Dialog label={title} onClose={onClose}>
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          if (!ready) return;
          setBusy(true);
          await onConfirm();
          onClose();
        }}
      >
        <h2>{title}</h2>
        <div class="soft stack">{children}</div>
        {word && (
          <label class="field">
            <span>
              Type <b class="mono">{word}</b> to go on
            </span>
            <input type="text" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autoComplete="off" />
          </label>
        )}
        <div class="buttons">
          <button type="button" class="button" onClick={onClose}>
            Leave it
          </button>
          <button type="submit" class={`button first ${danger ? "danger" : ""}`} disabled={!ready}>
            {busy ? "Working …" : verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
