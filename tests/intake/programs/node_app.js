// An app with @sentry/node, which knows nothing of us: node_app.js SITUATION RELEASE.
// It reports where SENTRY_DSN says, and finds the SDK where NODE_PATH says.
"use strict";

const http = require("node:http");
const Sentry = require("@sentry/node");

const [situation, release] = process.argv.slice(2);

Sentry.init({
  dsn: process.env.SENTRY_DSN,
  release,
  environment: "production",
  beforeSend: (event) => (event.message === "dropped" ? null : event),
});

function boom() {
  throw new RangeError("42 apples");
}

function pick() {
  boom();
}

function plan() {
  pick();
}

// Fails four calls deep: whoever called, it is the same bug.
function work() {
  plan();
}

// Serve three: two well, and one with an error that is reported.
function requests() {
  let served = 0;
  const server = http.createServer((request, response) => {
    try {
      if (request.url === "/fails") work();
      response.writeHead(200).end();
    } catch (error) {
      Sentry.captureException(error, { mechanism: { type: "http", handled: false } });
      response.writeHead(500).end();
    }
  });
  server.listen(0, "127.0.0.1", async () => {
    const { port } = server.address();
    for (const path of ["/", "/fails", "/"]) {
      await fetch(`http://127.0.0.1:${port}${path}`).then((answer) => answer.text());
      served += 1;
    }
    server.close();
    await Sentry.close(5000);
    process.exit(served === 3 ? 0 : 1);
  });
}

const SITUATIONS = {
  exit: () => {},
  handled: () => {
    try {
      work();
    } catch (error) {
      Sentry.captureException(error);
    }
  },
  unhandled: () => setTimeout(work, 1),
  rejection: async () => work(),
  // Two errors, the first of which the app's own filter drops.
  discards: () => {
    Sentry.captureMessage("dropped");
    Sentry.captureException(new RangeError("42 apples"));
  },
  requests,
  abort: () => process.abort(),
  hang: () => {
    console.log("ready");
    setInterval(() => {}, 1000);
  },
  storm: async () => {
    for (let i = 0; i < 20; i++) {
      Sentry.captureException(new RangeError(`number ${i} of many`));
      await Sentry.flush(2000);
    }
  },
};

SITUATIONS[situation]();
