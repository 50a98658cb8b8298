import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { NetnsError } from './errors.ts';
import { createNetns, currentNetns, openNetns, runInNetns } from './netns.ts';

const idHere = (): string => {
  using ns = currentNetns();
  return ns.id;
};
const descriptorCount = (): number => readdirSync('/proc/self/fd').length;

describe('createNetns', () => {
  it('makes a namespace other than this thread’s and comes back', () => {
    const before = idHere();
    using ns = createNetns();
    assert.notEqual(ns.id, before);
    assert.equal(idHere(), before);
  });

  it('gives a namespace without interfaces that are up', () => {
    using ns = createNetns();
    assert.deepEqual(
      runInNetns(ns, () => networkInterfaces()),
      {},
    );
  });

  it('can be opened by path, with the same identity', () => {
    using ns = createNetns();
    using other = openNetns(`/proc/${process.pid}/fd/${ns.fd}`);
    assert.equal(other.id, ns.id);
  });
});

describe('openNetns', () => {
  for (const path of ['/nonexistent', '/proc/self/ns/mnt', '/dev/null', '/']) {
    it(`refuses ${path} and leaves no descriptor`, () => {
      createNetns()[Symbol.dispose]();
      const before = descriptorCount();
      assert.throws(() => openNetns(path), { name: 'NetnsError', code: 'NETNS_OPEN_FAILED' });
      assert.equal(descriptorCount(), before);
    });
  }
});

describe('runInNetns', () => {
  it('nests and returns to the outer namespace', () => {
    using a = createNetns();
    using b = createNetns();
    const seen = runInNetns(a, () => {
      const inner = runInNetns(b, idHere);
      return [inner, idHere()];
    });
    assert.deepEqual(seen, [b.id, a.id]);
  });

  it('makes a namespace from inside another', () => {
    using a = createNetns();
    const back = runInNetns(a, () => {
      using b = createNetns();
      assert.notEqual(b.id, a.id);
      return idHere();
    });
    assert.equal(back, a.id);
  });

  it('comes back when the body throws', () => {
    using ns = createNetns();
    const before = idHere();
    assert.throws(() => {
      runInNetns(ns, () => {
        throw new TypeError('body');
      });
    }, TypeError);
    assert.equal(idHere(), before);
  });

  it('refuses a body that returns a promise', () => {
    using ns = createNetns();
    using own = currentNetns();
    for (const where of [ns, own]) {
      assert.throws(
        () => runInNetns(where, () => Promise.resolve(1)),
        (error) => error instanceof NetnsError && error.code === 'NETNS_ASYNC_BODY',
      );
    }
  });

  it('needs no privilege where the thread is already', () => {
    const module = (name: string): string =>
      JSON.stringify(new URL(`./${name}.ts`, import.meta.url).href);
    const program = `
      import { currentNetns, openNetns, runInNetns } from ${module('netns')};
      import { closeFd, listenTcp, localAddressOf } from ${module('sockets')};
      const other = openNetns('/proc/self/fd/3');
      const options = { address: '127.0.0.1', port: 0, backlog: 1, reusePort: true, transparent: false };
      const fd = listenTcp(currentNetns(), options);
      console.log(localAddressOf(fd).port > 0);
      closeFd(fd);
      try { runInNetns(other, () => undefined); } catch (error) { console.log(error.errno); }`;
    using other = createNetns();
    // Root without capabilities: a user namespace may have no other user to become.
    const without = ['--bounding-set=-all', '--inh-caps=-all', process.execPath];
    const child = spawnSync('setpriv', [...without, '--input-type=module', '-e', program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe', other.fd],
    });
    assert.equal(child.stdout, 'true\nEPERM\n', child.stderr);
  });

  it('leaves no descriptor after a thousand entries', () => {
    using ns = createNetns();
    runInNetns(ns, idHere);
    const before = descriptorCount();
    for (let i = 0; i < 1000; i++) {
      runInNetns(ns, idHere);
      createNetns()[Symbol.dispose]();
    }
    assert.equal(descriptorCount(), before);
  });

  it('works in worker threads, each for itself', async () => {
    using ns = createNetns();
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.module).then(({ openNetns, currentNetns, runInNetns }) => {
        const ns = openNetns(workerData.path);
        const home = currentNetns().id;
        const seen = runInNetns(ns, () => currentNetns().id);
        parentPort.postMessage({ home, seen, after: currentNetns().id });
      });`;
    const worker = new Worker(source, {
      eval: true,
      workerData: {
        module: new URL('./netns.ts', import.meta.url).href,
        path: `/proc/self/fd/${ns.fd}`,
      },
    });
    const seen = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    assert.deepEqual(seen, { home: idHere(), seen: ns.id, after: idHere() });
  });

  it('ends the process when the way back is gone', () => {
    // The body closes every other namespace descriptor, so that the return finds its target gone.
    const program = `
      import { closeSync, readdirSync, readlinkSync } from 'node:fs';
      import { createNetns, runInNetns } from ${JSON.stringify(new URL('./netns.ts', import.meta.url).href)};
      const ns = createNetns();
      process.on('exit', () => console.log('exit handlers ran'));
      runInNetns(ns, () => {
        for (const fd of readdirSync('/proc/self/fd').map(Number)) {
          let link = '';
          try { link = readlinkSync('/proc/self/fd/' + fd); } catch { continue; }
          if (link.startsWith('net:') && fd !== ns.fd) closeSync(fd);
        }
      });
      console.log('still alive');`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
    });
    assert.equal(child.status, 70, child.stderr);
    assert.match(child.stderr, /cannot leave a pod's network namespace: EBADF/);
    assert.equal(child.stdout, '');
  });
});

it('exitNow does not wait for a worker thread', () => {
  const program = `
    import { Worker } from 'node:worker_threads';
    import { exitNow } from ${JSON.stringify(new URL('./netns.ts', import.meta.url).href)};
    process.on('exit', () => console.log('exit handlers ran'));
    new Worker('for (;;);', { eval: true }).on('online', () => exitNow(3));`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.deepEqual([child.status, child.stdout], [3, ''], child.stderr);
});

it('needs nothing but its descriptor: a namespace is gone with its maker', () => {
  const program = `
    import { createNetns } from ${JSON.stringify(new URL('./netns.ts', import.meta.url).href)};
    console.log(createNetns().id.split(':')[1]);
    process.kill(process.pid, 'SIGKILL');`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.equal(child.signal, 'SIGKILL', child.stderr);
  const inode = child.stdout.trim();
  assert.match(inode, /^\d+$/);
  const alive = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`);
      } catch {
        // The process ended, or is not ours to read.
        return '';
      }
    });
  assert.ok(!alive.includes(`net:[${inode}]`));
});
