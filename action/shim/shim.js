// Starts the binary and keeps a pipe to it open. When this process dies, however
// that comes about, the pipe closes, and the binary settles by itself.
'use strict';

const { spawn } = require('child_process');
const { randomBytes } = require('crypto');
const fs = require('fs');
const { constants } = require('os');
const { find } = require('./find');

// What a step's environment holds for the step alone, and what would change how
// the binary itself runs.
const KEPT_BACK = /^(INPUT_|STATE_|ACTIONS_|NODE_|NPM_|LD_|GODEBUG$|GOTRACEBACK$|GOCOVERDIR$|GOFIPS140$)/i;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !KEPT_BACK.test(name)));
}

// Runners turn the input `a b-c` into INPUT_A_B-C (actions/toolkit, core.getInput).
function inputs() {
  const given = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (name.startsWith('INPUT_')) given[name.slice(6).toLowerCase()] = value;
  }
  return given;
}

// Ten letters of [a-z2-7]: the form of a run id.
function draw() {
  return Array.from(randomBytes(10), (b) => 'abcdefghijklmnopqrstuvwxyz234567'[b & 31]).join('');
}

// Text for a command of the runner is one line (actions/toolkit, command.ts).
function fail(error) {
  const text = String(error.message).replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
  console.log(`::error::bot-bottle: ${text}`);
  for (const hint of error.hints || []) console.log(`hint: ${hint}`);
  process.exitCode = error.code || 2;
}

function save(state) {
  if (!process.env.GITHUB_STATE) return;
  if (/[\r\n]/.test(state.binary)) throw new Error(`the path ${JSON.stringify(state.binary)} has more than one line`);
  fs.appendFileSync(process.env.GITHUB_STATE, Object.entries(state).map(([k, v]) => `${k}=${v}\n`).join(''));
}

// A runner that was killed ends none of its steps. This process has then another
// parent; it goes too, so that the pipe closes.
const LOOK = 500; // milliseconds

function dieWithParent() {
  const parent = process.ppid;
  setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, LOOK).unref();
}

function start(binary, verb, handover) {
  // A session of its own, so that a signal for the step's processes does not end
  // the binary before it has settled.
  const child = spawn(binary, ['action', verb], {
    detached: true, env: environment(), stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  child.stdio[3].on('error', () => {}); // the binary ended before it read; its exit code says why
  child.stdio[3].write(JSON.stringify(handover) + '\n');
  for (const name of SIGNALS) process.on(name, () => child.kill(name));
  child.on('error', (e) => fail(new Error(`starting ${binary}: ${e.message}`)));
  child.on('exit', (code, signal) => {
    process.exitCode = code === null ? 128 + constants.signals[signal] : code;
    child.stdio[3].destroy();
  });
}

async function part(verb) {
  try {
    dieWithParent();
    const given = inputs();
    if (verb === 'post' && !process.env.STATE_handle) return; // main never came to start anything
    const binary = await find(given, process.env.STATE_binary);
    const handle = process.env.STATE_handle && verb === 'post' ? process.env.STATE_handle : draw();
    if (verb === 'main') save({ handle, binary });
    start(binary, verb, { schema: 1, handle, inputs: given });
  } catch (error) {
    fail(error);
  }
}

module.exports = { part };
