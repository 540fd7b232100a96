// Where the short messages stand.

import { dismiss, notices } from "../store/notice";
import { Icon } from "./icon";

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class="toast" data-tone={notice.tone}>
          <Icon name={notice.tone === "bad" ? "dead" : "check"} />
          <span class="grow">{notice.text}</span>
          <button type="button" class="button plain slim" aria-label="Dismiss" onClick={() => dismiss(notice.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
