// Finds the binary and checks it: its digest, where one is asked for, and its
// version.
'use strict';

const { execFileSync } = require('child_process');
const { createHash } = require('crypto');
const fs = require('fs');
const path = require('path');
const release = require('./release');

// Versions of the binary that understand what this shim sends: at least the
// first, below the second.
const OLDEST = [0, 1, 0];
const BELOW = [2, 0, 0];
const HOW = [
  'build it (make build, in github.com/bot-bottle/action) and put it on the PATH of the runner\'s service',
  'or name it: with: { bottle-path: /usr/local/bin/bot-bottle }',
];

function failure(message, code, ...hints) {
  return Object.assign(new Error(message), { code, hints });
}

function executable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

function onPath() {
  // A relative or empty part means the current folder: the job's checkout.
  return (process.env.PATH || '').split(path.delimiter).filter(path.isAbsolute)
    .map((dir) => path.join(dir, 'bot-bottle')).find(executable);
}

function named(file) {
  if (!path.isAbsolute(file)) throw failure(`reading input "bottle-path": "${file}" is not absolute`, 2);
  if (!fs.existsSync(file)) throw failure(`reading input "bottle-path": there is no "${file}"`, 3, ...HOW);
  if (!executable(file)) throw failure(`reading input "bottle-path": "${file}" can't be executed by this user`, 3, `chmod +x ${file}`);
  return file;
}

function digest(file) {
  const hash = createHash('sha256');
  const fd = fs.openSync(file, 'r');
  const piece = Buffer.allocUnsafe(1 << 20);
  for (let n; (n = fs.readSync(fd, piece, 0, piece.length, null)) > 0;) hash.update(piece.subarray(0, n));
  fs.closeSync(fd);
  return hash.digest('hex');
}

function checkDigest(file, want) {
  if (!want) return;
  if (!/^[0-9a-f]{64}$/i.test(want)) throw failure('reading input "bottle-sha256": it is not a SHA-256 in hex', 2);
  const got = digest(file);
  if (got !== want.toLowerCase()) {
    throw failure(`checking ${file}: its SHA-256 is ${got}, not ${want.toLowerCase()}`, 3,
      'find out who replaced it, then put the right one there or change bottle-sha256');
  }
}

function less(a, b) {
  const i = a.findIndex((n, k) => n !== b[k]);
  return i >= 0 && a[i] < b[i];
}

function checkVersion(file) {
  let said;
  try {
    const out = execFileSync(file, ['version', '--json'], { timeout: 10000, maxBuffer: 65536, env: {}, stdio: ['ignore', 'pipe', 'ignore'] });
    said = String(JSON.parse(out).version);
  } catch (e) {
    throw failure(`asking ${file} for its version: ${e.message.split('\n')[0]}`, 3, ...HOW);
  }
  const numbers = /^v?(\d+)\.(\d+)\.(\d+)/.exec(said);
  if (!numbers) return; // built from a checkout: whoever put it there knows what it is
  const version = numbers.slice(1).map(Number);
  if (less(version, OLDEST) || !less(version, BELOW)) {
    throw failure(`checking ${file}: its version is ${said}, this action needs ${OLDEST.join('.')} or newer, below ${BELOW.join('.')}`, 3,
      'install a release that fits, or pin the action to the one that belongs to the binary');
  }
}

// find gives the path. known is what main had found: post takes the same.
async function find(inputs, known) {
  const file = known || (inputs['bottle-path'] ? named(inputs['bottle-path']) : onPath() || await install(inputs));
  checkDigest(file, inputs['bottle-sha256']);
  checkVersion(file);
  return file;
}

async function install(inputs) {
  if (inputs.install === 'false') throw failure('looking for bot-bottle: it is not on the PATH, and installing is switched off', 3, ...HOW);
  try {
    return await release.install(digest);
  } catch (e) {
    throw failure(`looking for bot-bottle: it is not on the PATH, and installing it: ${e.message}`, 3, ...HOW);
  }
}

module.exports = { find };
