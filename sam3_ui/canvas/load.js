// Runs inside gr.HTML: finds the page's own base, so that a proxy's prefix works, and hands over.
const base = new URL(location.pathname.replace(/\/?$/, "/"), location.origin);
import(new URL("canvas/main.js", base))
  .then((page) => page.mount(element, { props, trigger, watch, server, base }))
  .catch((error) => {
    element.textContent = "The page could not be loaded. Reload it; if that does not help, look at the server's log.";
    throw error;
  });
