import "./styles/index.css";
import { render } from "preact";
import { Root } from "./screens/root";
import { startApp } from "./state/start";
import { AppContext } from "./state/context";

const place = document.getElementById("app");
if (place === null) throw new Error("the page has no place for the app");
const app = await startApp();
render(
  <AppContext.Provider value={app}>
    <Root />
  </AppContext.Provider>,
  place,
);
