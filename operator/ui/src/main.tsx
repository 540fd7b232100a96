import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { App } from "./app";
import { followAddress } from "./route";
import { startClock } from "./store/clock";
import { startSession } from "./store/session";
import { followTheme } from "./store/setting";

followTheme();
followAddress();
startClock();
void startSession();
render(<App />, document.getElementById("page") as HTMLElement);
