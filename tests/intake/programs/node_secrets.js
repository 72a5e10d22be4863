// An app that hands its crash SDK a secret wherever one fits: node_secrets.js RELEASE SECRET.
"use strict";

const Sentry = require("@sentry/node");

const [release, secret] = process.argv.slice(2);

Sentry.init({
  dsn: process.env.SENTRY_DSN,
  release,
  environment: secret,
  dist: secret,
  serverName: secret,
  sendDefaultPii: true,
  attachStacktrace: true,
});

class CanaryError extends Error {
  name = "CanaryError";
}

function fail(password) {
  throw new CanaryError(`cannot log in with password=${password} from /home/${password}/notes`);
}

Sentry.setUser({
  id: secret,
  email: `${secret}@example.org`,
  username: secret,
  ip_address: "203.0.113.77",
  other: secret,
});
Sentry.setTag("password", secret);
Sentry.setTag(secret, "value");
Sentry.setExtra("note", { deep: [secret] });
Sentry.setContext("account", { iban: secret });
Sentry.addBreadcrumb({ message: secret, category: secret, data: { q: secret } });
Sentry.getCurrentScope().setFingerprint([`password=${secret}`]);
Sentry.getCurrentScope().addAttachment({ filename: `${secret}.txt`, data: secret });
Sentry.captureMessage(`bearer ${secret}`);
Sentry.captureEvent({
  logentry: { message: "key %s", params: [secret] },
  request: {
    url: `https://example.org/?q=${secret}`,
    query_string: `q=${secret}`,
    cookies: { session: secret },
    headers: { Authorization: `Bearer ${secret}` },
    data: { field: secret },
  },
});
try {
  fail(secret);
} catch (error) {
  Sentry.captureException(error);
}
setTimeout(() => fail(secret), 1);
