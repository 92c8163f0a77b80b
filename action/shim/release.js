// Brings the release that belongs to this action into the tool cache.
'use strict';

const fs = require('fs');
const https = require('https');
const http = require('http');
const path = require('path');
const { randomBytes } = require('crypto');
const { pipeline } = require('stream/promises');

// The release, written by the release's own script. No digest: there is none yet.
const VERSION = '0.1.0';
const BASE = 'https://github.com/bot-bottle/action/releases/download';
const SHA256 = { x64: '', arm64: '' };

const MAX_BYTES = 512 << 20; // a static binary with gVisor in it has 100 MB
const MAX_REDIRECTS = 5; // GitHub sends to its object store
const STALL = 30000; // milliseconds without a byte

function get(url, left = MAX_REDIRECTS) {
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? https : http).get(url, { timeout: STALL }, (answer) => {
      const { statusCode: status, headers } = answer;
      if (status >= 300 && status < 400 && headers.location) {
        answer.resume();
        const next = new URL(headers.location, url).href;
        if (left === 0 || url.startsWith('https:') && !next.startsWith('https:')) return reject(new Error(`${url} redirects too far`));
        return resolve(get(next, left - 1));
      }
      if (status !== 200) {
        answer.resume();
        return reject(new Error(`${url} answered ${status}`));
      }
      resolve(answer);
    });
    request.on('timeout', () => request.destroy(new Error(`${url} gave no byte for ${STALL / 1000} s`)));
    request.on('error', reject);
  });
}

async function download(url, file) {
  let size = 0;
  await pipeline(await get(url), async function* bounded(pieces) {
    for await (const piece of pieces) {
      if ((size += piece.length) > MAX_BYTES) throw new Error(`${url} has more than ${MAX_BYTES} bytes`);
      yield piece;
    }
  }, fs.createWriteStream(file, { flags: 'wx', mode: 0o700 }));
}

// install gives the path of the binary, which has the pinned digest. It is
// checked under the name it was written to, and only then renamed.
async function install(digest, { base = BASE, version = VERSION, sha256 = SHA256[process.arch], cache = process.env.RUNNER_TOOL_CACHE } = {}) {
  if (!sha256) throw new Error(`there is no release for ${process.platform} ${process.arch} yet`);
  if (!cache) throw new Error('the runner has no tool cache (RUNNER_TOOL_CACHE)');
  const file = path.join(cache, 'bot-bottle', version, process.arch, 'bot-bottle');
  if (fs.existsSync(file) && digest(file) === sha256) return file;
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const partial = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    await download(`${base}/v${version}/bot-bottle-linux-${process.arch === 'x64' ? 'amd64' : process.arch}`, partial);
    const got = digest(partial);
    if (got !== sha256) throw new Error(`what was downloaded has SHA-256 ${got}, not ${sha256}`);
    fs.renameSync(partial, file);
    return file;
  } finally {
    fs.rmSync(partial, { force: true });
  }
}

module.exports = { install };
