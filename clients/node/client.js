// npm's 3scale, one call for each line of JSON on standard input, answered with a line on standard output. The
// client speaks only TLS, so what stands before the backend here is what has to stand before it anywhere.
//
// usage: client.js BACKEND CERTIFICATE KEY
'use strict';
const fs = require('fs');
const net = require('net');
const path = require('path');
const readline = require('readline');
const tls = require('tls');
const { Client } = require(path.join(__dirname, '../target/node/node_modules/3scale'));

const [backend, certificate, key] = process.argv.slice(2);
const [address, port] = backend.split(':');

const front = tls.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (caller) => {
  const behind = net.connect(Number(port), address);
  caller.pipe(behind).pipe(caller);
  for (const [one, other] of [[caller, behind], [behind, caller]]) {
    one.on('error', () => other.destroy());
  }
});

const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n');

function answered(response) {
  const usage = {};
  for (const report of response.usage_reports || []) {
    usage[`${report.metric}/${report.period}`] = [Number(report.current_value), Number(report.max_value)];
  }
  say({
    authorized: response.is_success(),
    reason: response.error_message,
    code: response.error_code,
    plan: response.plan,
    usage,
  });
}

function perform(call) {
  const { provider_key, ...credentials } = call.credentials;
  const options = { host: 'localhost', port: front.address().port };
  const client = provider_key ? new Client(provider_key, options) : new Client(options);
  if (call.call === 'report') {
    const transaction = { ...call.application, usage: call.usage, timestamp: new Date().toISOString() };
    client.report(credentials.service_id, [transaction], answered);
  } else {
    const method = call.application.user_key ? `${call.call}_with_user_key` : call.call;
    client[method]({ ...credentials, ...call.application, usage: call.usage }, answered);
  }
}

// What the client throws, it throws where nobody can catch it.
process.on('uncaughtException', (error) => say({ raised: String(error) }));
process.on('unhandledRejection', (error) => say({ raised: String(error) }));
front.listen(0, 'localhost', () => {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => perform(JSON.parse(line)));
  lines.on('close', () => process.exit(0));
});
