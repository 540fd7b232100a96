// The pages, in their order, and the letter that goes to each after `g`.

import type { IconName } from "./part/icon";

export interface Place {
  path: string;
  name: string;
  icon: IconName;
  key: string;
}

export const PLACES: Place[] = [
  { path: "", name: "Overview", icon: "overview", key: "o" },
  { path: "jobs", name: "Jobs", icon: "jobs", key: "j" },
  { path: "declarations", name: "Declarations", icon: "declarations", key: "d" },
  { path: "schedules", name: "Schedules", icon: "calendar", key: "c" },
  { path: "events", name: "Events", icon: "bolt", key: "e" },
  { path: "webhooks", name: "Webhooks", icon: "send", key: "h" },
  { path: "workers", name: "Workers", icon: "workers", key: "w" },
  { path: "dead", name: "Dead letters", icon: "dead", key: "l" },
  { path: "settings", name: "Settings", icon: "settings", key: "s" },
];
