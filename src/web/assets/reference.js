// The API reference: Swagger UI on /openapi.json with code samples and fixes for accessibility.
const reference = document.getElementById("reference");

/** Shows each operation's samples, from the extension `x-codeSamples` of the document, above its answers. */
function withSamples(Original, { React, specSelectors }) {
  const h = React.createElement;
  return (props) => {
    const operation = specSelectors.specJson().getIn(["paths", props.path, props.method]);
    const list = operation?.get("x-codeSamples")?.toJS() ?? [];
    const samples = list.length > 0 && h(Samples, { list, React });
    return h(React.Fragment, null, samples, h(Original, props));
  };
}

function Samples({ list, React }) {
  const h = React.createElement;
  const [chosen, choose] = React.useState(0);
  const tab = ({ label }, index) =>
    h("button", { key: label, type: "button", "aria-pressed": index === chosen, onClick: () => choose(index) }, label);
  return h("div", { className: "samples" },
    h("div", { className: "sample-tabs" }, h("h4", null, "Code"), list.map(tab)),
    h("pre", { tabIndex: 0 }, h("code", null, list[chosen].source)));
}

/** Puts a component into a landmark. */
const within = (label, before) => (Original, { React }) => (props) =>
  React.createElement("section", { "aria-label": label }, before?.(React), React.createElement(Original, props));

const plugin = () => ({
  wrapComponents: {
    responses: withSamples,
    // A link inside a button cannot be reached by keyboard.
    DeepLink: (_, { React }) => ({ text }) => React.createElement("span", null, text),
    InfoContainer: within("About"),
    FilterContainer: within("Search", (React) => React.createElement("h2", { className: "unseen" }, "Operations")),
  },
});

/** Names for fields, and keys for what scrolls. */
function mend() {
  for (const field of reference.querySelectorAll("textarea, select, input")) {
    if (!field.getAttribute("aria-label") && !field.labels?.length) field.setAttribute("aria-label", nameOf(field));
  }
  for (const table of reference.querySelectorAll("table[role=region]")) table.removeAttribute("role");
  for (const text of reference.querySelectorAll("pre:not([tabindex])")) text.tabIndex = 0;
}

function nameOf(field) {
  const parameter = field.closest("tr[data-param-name]")?.dataset.paramName;
  return parameter || field.placeholder || (field.matches("textarea") ? "Body" : "Choice");
}

/** A request without a token is that of the dashboard's cookie. */
function signedIn(request) {
  const csrf = document.querySelector("meta[name=csrf]")?.content;
  const bringsToken = Object.keys(request.headers ?? {}).some((name) => name.toLowerCase() === "authorization");
  if (csrf && !bringsToken) request.headers = { ...request.headers, "rtmsd-csrf": csrf };
  return request;
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();
new MutationObserver(mend).observe(reference, { childList: true, subtree: true });

SwaggerUIBundle({
  url: reference.dataset.document,
  domNode: reference,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [plugin],
  layout: "BaseLayout",
  deepLinking: true,
  filter: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  // Otherwise it asks a validator on the internet.
  validatorUrl: null,
  requestInterceptor: signedIn,
});
