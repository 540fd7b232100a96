// A share as a bar.

export function Meter({ part, all, label }: { part: number; all: number; label: string }) {
  return (
    <div class="meter" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={all} aria-valuenow={part} title={`${part} of ${all}`}>
      <span style={{ width: `${all ? Math.min(100, (part / all) * 100) : 0}%` }} />
    </div>
  );
}
