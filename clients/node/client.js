// npm's 3scale, one call for each line of JSON on standard input, answered with a line on standard output. The
// client speaks only TLS; NODE_EXTRA_CA_CERTS names whom it trusts.
//
// usage: client.js BACKEND
'use strict';
const path = require('path');
const readline = require('readline');
const { Client } = require(path.join(__dirname, '../target/node/node_modules/3scale'));

const port = process.argv[2].split(':')[1];

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
  const options = { host: 'localhost', port: Number(port) };
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
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => perform(JSON.parse(line)));
lines.on('close', () => process.exit(0));
