import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { keyOf } from '@ambit/model';
import { createLogger, LogLevels } from '@ambit/telemetry';
import type { SourceChange } from '../../source/config-source.ts';
import { isStandIn } from '../../source/stand-in.ts';
import { StateFile } from '../../status/state-file.ts';
import { until } from '../../until.testing.ts';
import { DirectorySource } from './directory-source.ts';
import { type KeptObject, LastGood } from './last-good.ts';

const LOG = createLogger({
  scope: 'test',
  levels: new LogLevels('off'),
  sink: { write: () => undefined },
  wallNow: () => 0,
});

const NAMESPACE = (name: string, label = ''): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {a: "${label}"}}\n`;
const BROKEN = 'kind: [unclosed';
const INVALID =
  'apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {ports: no}\n';

const policy = (spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: n}\nspec: ${spec}\n`;

/** A label, or what a policy does to how many. */
function wordOf(object: MeshObject): string {
  if (object.kind !== 'AuthorizationPolicy') return object.metadata.labels['a'] ?? '';
  return `${isStandIn(object) ? 'stand-in ' : ''}${object.spec.action} ${object.spec.rules.length}`;
}

describe('DirectorySource', () => {
  let root = '';
  let sources: DirectorySource[] = [];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ambit-source-'));
    sources = [];
  });
  afterEach(async () => {
    for (const source of sources) await source.stop();
    rmSync(root, { recursive: true });
  });

  const write = (path: string, text: string): void => {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(`${full}.new`, text);
    renameSync(`${full}.new`, full);
  };

  /** What objects, refusals and warnings stand after every change so far. */
  class View {
    readonly objects = new Map<string, string>();
    readonly refused = new Map<string, string>();
    readonly notes = new Map<string, string>();
    readonly unsupported = new Set<string>();
    changes = 0;

    take(change: SourceChange): void {
      this.changes += 1;
      for (const key of change.removes) {
        for (const map of [this.objects, this.refused, this.notes, this.unsupported])
          map.delete(key);
      }
      for (const object of change.upserts) {
        this.objects.set(keyOf(object), wordOf(object));
        this.refused.delete(keyOf(object));
      }
      for (const { key, findings } of change.invalid)
        this.refused.set(key, findings[0]?.message ?? '');
      for (const { key, findings } of change.notes) {
        this.notes.set(key, findings.map(({ code }) => code).join());
      }
      for (const { key } of change.unsupported) this.unsupported.add(key);
    }

    waitFor(test: () => boolean, what: string): Promise<void> {
      return until(
        () => Promise.resolve(test()),
        () => `${what}: ${JSON.stringify([...this.objects])} ${JSON.stringify([...this.refused])}`,
      );
    }
  }

  const sourceOf = (folders: readonly string[]): DirectorySource => {
    const file = new StateFile<readonly KeptObject[]>({
      path: join(root, 'accepted.json'),
      clock: systemClock,
      log: LOG,
    });
    const source = new DirectorySource({
      folders: folders.map((folder) => join(root, folder)),
      lastGood: new LastGood(file),
      clock: systemClock,
      log: LOG,
    });
    sources.push(source);
    return source;
  };

  const start = async (...folders: readonly string[]): Promise<View> => {
    const view = new View();
    const source = sourceOf(folders);
    await source.start((change) => view.take(change));
    return view;
  };

  const TYPING_ERRORS: readonly (readonly [string, string])[] = [
    [
      'a kind',
      'apiVersion: security.istio.io/v1\nkind: AuthorizationPolcy\nmetadata: {name: one}\n',
    ],
    ['a name', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: One}\n'],
    ['no name', 'apiVersion: v1\nkind: Namespace\nmetadata: {labels: {}}\n'],
    ['no kind', 'apiVersion: v1\nmetadata: {name: one}\n'],
  ];
  for (const [what, text] of TYPING_ERRORS) {
    it(`keeps an object that may have become another by a typing error: ${what}`, async () => {
      write('a/one.yaml', `${NAMESPACE('one')}---\n${NAMESPACE('two')}`);
      const view = await start('a');
      write('a/one.yaml', `${text}---\n${NAMESPACE('two', 'x')}`);
      await view.waitFor(() => view.objects.get('Namespace/two') === 'x', 'edited');
      assert.ok(view.objects.has('Namespace/one'));
      assert.equal(view.notes.get('Namespace/one'), 'OBJECT_KEPT');
      await sources[0]?.stop();
      const again = await start('a');
      assert.ok(again.objects.has('Namespace/one'), 'also for another process');
      write('a/one.yaml', `${text}---\n${NAMESPACE('two', 'y')}`);
      await again.waitFor(() => again.objects.get('Namespace/two') === 'y', 'edited again');
      assert.ok(again.objects.has('Namespace/one'), 'as long as it is not corrected');
      write('a/one.yaml', NAMESPACE('two'));
      await again.waitFor(() => !again.objects.has('Namespace/one'), 'corrected');
    });
  }

  it('keeps what a folder had while the folder itself is gone', async () => {
    write('a/one.yaml', NAMESPACE('one'));
    write('b/two.yaml', NAMESPACE('two'));
    const view = await start('a', 'b');
    renameSync(join(root, 'a'), join(root, 'elsewhere'));
    write('b/two.yaml', NAMESPACE('two', 'x'));
    await view.waitFor(() => view.objects.get('Namespace/two') === 'x', 'the other folder');
    assert.ok(view.objects.has('Namespace/one'));
    write('elsewhere/one.yaml', NAMESPACE('one', 'y'));
    renameSync(join(root, 'elsewhere'), join(root, 'a'));
    await view.waitFor(() => view.objects.get('Namespace/one') === 'y', 'back');
    rmSync(join(root, 'a'), { recursive: true });
    mkdirSync(join(root, 'a'));
    await view.waitFor(() => !view.objects.has('Namespace/one'), 'there and empty');
    assert.ok(view.objects.has('Namespace/two'));
  });

  it('takes an object for deleted beside one that was refused before', async () => {
    write('a/one.yaml', `${NAMESPACE('one')}---\n${INVALID}`);
    const view = await start('a');
    write('a/one.yaml', INVALID);
    await view.waitFor(() => !view.objects.has('Namespace/one'), 'deleted');
  });

  it('has delivered what exists when start resolves, from folders below too', async () => {
    write('a/one.yaml', `${NAMESPACE('one')}---\n${NAMESPACE('two')}`);
    write('a/deep/er/three.yml', NAMESPACE('three'));
    write('a/.hidden/no.yaml', NAMESPACE('no'));
    write('a/node_modules/no.yaml', NAMESPACE('no'));
    write('a/readme.md', 'kind: Namespace');
    symlinkSync(join(root, 'a'), join(root, 'a', 'loop'));
    const view = await start('a');
    assert.deepEqual([...view.objects.keys()].sort(), [
      'Namespace/one',
      'Namespace/three',
      'Namespace/two',
    ]);
    assert.equal(view.changes, 1);
  });

  it('sees a file that is added, changed, moved and deleted', async () => {
    mkdirSync(join(root, 'a'));
    const view = await start('a');
    write('a/x.yaml', NAMESPACE('x', '1'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '1', 'added');
    write('a/x.yaml', NAMESPACE('x', '2'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '2', 'changed');
    renameSync(join(root, 'a/x.yaml'), join(root, 'a/y.yaml'));
    write('a/z.yaml', NAMESPACE('z'));
    await view.waitFor(() => view.objects.has('Namespace/z'), 'moved');
    assert.equal(view.objects.get('Namespace/x'), '2');
    rmSync(join(root, 'a/y.yaml'));
    await view.waitFor(() => !view.objects.has('Namespace/x'), 'deleted');
  });

  describe('while a folder is not there when it starts', () => {
    /** Not awaited: it loads when the folder comes. */
    const waiting = (...folders: readonly string[]) => {
      const view = new View();
      const problems: (readonly string[])[] = [];
      const source = sourceOf(folders);
      const state = { isLoaded: false };
      const loading = source
        .start(
          (change) => view.take(change),
          (found) => problems.push(found),
        )
        .then(() => {
          state.isLoaded = true;
        });
      return { view, problems, source, loading, state };
    };

    it('says so, and loads when it comes and nobody fills it any more', async () => {
      const { view, problems, loading } = waiting('late');
      await until(
        () => Promise.resolve(problems.length > 0),
        () => 'no problem is told',
      );
      assert.deepEqual(problems, [[`folder ${join(root, 'late')} is not there`]]);
      assert.equal(view.objects.size, 0);
      write('late/x.yaml', NAMESPACE('x'));
      await loading;
      assert.ok(view.objects.has('Namespace/x'));
      assert.deepEqual(problems.at(-1), []);
    });

    // It loaded an empty mesh, and every proxy lost what it had.
    it('keeps what was accepted last, whole, and forgets what did not come back', async () => {
      write('a/one.yaml', `${NAMESPACE('one', 'old')}---\n${NAMESPACE('two')}`);
      write('b/three.yaml', NAMESPACE('three'));
      await start('a', 'b');
      await sources[0]?.stop();
      const accepted = readFileSync(join(root, 'accepted.json'), 'utf8');
      renameSync(join(root, 'a'), join(root, 'elsewhere'));
      const { view, loading, state } = waiting('a', 'b');
      await view.waitFor(() => view.objects.size === 3, 'what was accepted last');
      await systemClock.sleep(1_200);
      assert.equal(state.isLoaded, false);
      assert.equal(readFileSync(join(root, 'accepted.json'), 'utf8'), accepted);
      write('elsewhere/one.yaml', NAMESPACE('one', 'new'));
      renameSync(join(root, 'elsewhere'), join(root, 'a'));
      await loading;
      assert.deepEqual([...view.objects.keys()].sort(), ['Namespace/one', 'Namespace/three']);
      assert.equal(view.objects.get('Namespace/one'), 'new');
    });

    it('falls back to the last good version of a file that comes back broken', async () => {
      write('a/one.yaml', NAMESPACE('one', 'good'));
      await start('a');
      await sources[0]?.stop();
      rmSync(join(root, 'a'), { recursive: true });
      const { view, loading } = waiting('a');
      await view.waitFor(() => view.objects.size === 1, 'what was accepted last');
      write('a/one.yaml', BROKEN);
      await loading;
      assert.equal(view.objects.get('Namespace/one'), 'good');
      assert.ok(view.refused.has('Namespace/one'));
    });

    it('does not take a file or a folder that cannot be read for an empty folder', async () => {
      write('file', '');
      symlinkSync('loop', join(root, 'loop'));
      const { problems, source, loading, state } = waiting('file', 'loop');
      await until(
        () => Promise.resolve(problems.length > 0),
        () => 'no problem is told',
      );
      assert.match(problems[0]?.[0] ?? '', /\/file is no folder$/);
      assert.match(problems[0]?.[1] ?? '', /\/loop cannot be read: ELOOP/);
      await source.stop();
      await loading;
      assert.equal(state.isLoaded, true, 'stopping ends the wait');
    });
  });

  it('takes objects of a later folder before those of an earlier one, and goes back', async () => {
    write('a/x.yaml', NAMESPACE('x', 'user'));
    write('b/x.yaml', NAMESPACE('x', 'cluster'));
    const view = await start('a', 'b');
    assert.equal(view.objects.get('Namespace/x'), 'cluster');
    rmSync(join(root, 'b/x.yaml'));
    await view.waitFor(() => view.objects.get('Namespace/x') === 'user', 'the earlier folder');
  });

  it('uses the first of two in one folder, and warns', async () => {
    write('a/1.yaml', NAMESPACE('x', 'first'));
    write('a/2.yaml', NAMESPACE('x', 'second'));
    const view = await start('a');
    assert.equal(view.objects.get('Namespace/x'), 'first');
    assert.equal(view.notes.get('Namespace/x'), 'DUPLICATE_OBJECT');
    rmSync(join(root, 'a/1.yaml'));
    await view.waitFor(() => view.objects.get('Namespace/x') === 'second', 'the second');
    assert.equal(view.notes.get('Namespace/x'), '');
  });

  it('keeps the objects of a file that cannot be read, and says so on each and on the file', async () => {
    write('a/x.yaml', NAMESPACE('x', '1'));
    const view = await start('a');
    write('a/x.yaml', `${NAMESPACE('x', '2')}---\n${BROKEN}`);
    await view.waitFor(() => view.refused.has('Namespace/x'), 'refused');
    assert.equal(view.objects.get('Namespace/x'), '1', 'nothing of a broken file counts');
    assert.match(view.refused.get('File/x.yaml') ?? '', /file x\.yaml cannot be read: line \d+/);
    write('a/x.yaml', NAMESPACE('x', '3'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '3', 'repaired');
    assert.equal(view.refused.size, 0);
  });

  it('refuses an invalid object alone', async () => {
    write('a/x.yaml', `${NAMESPACE('x')}---\n${INVALID}---\n${NAMESPACE('y')}`);
    const view = await start('a');
    assert.deepEqual([...view.objects.keys()], ['Namespace/x', 'Namespace/y']);
    assert.deepEqual([...view.refused.keys()], ['Service/n/s']);
  });

  it('names the file for what has no name', async () => {
    write('a/x.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {}\n');
    const view = await start('a');
    assert.match(view.refused.get('File/x.yaml') ?? '', /line 1/);
  });

  it('shows kinds that are not served, and passes over what is not of the mesh', async () => {
    const meta = 'metadata: {name: x, namespace: n}\n';
    write(
      'a/x.yaml',
      `apiVersion: networking.istio.io/v1\nkind: EnvoyFilter\n${meta}spec: {}\n---\napiVersion: v1\nkind: ConfigMap\n${meta}`,
    );
    const view = await start('a');
    assert.deepEqual([...view.unsupported], ['EnvoyFilter/n/x']);
    assert.equal(view.objects.size + view.refused.size, 0);
  });

  it('does not take a file that is being written for an empty one', async () => {
    write('a/x.yaml', NAMESPACE('x', '1'));
    const view = await start('a');
    writeFileSync(join(root, 'a/x.yaml'), '');
    write('a/y.yaml', NAMESPACE('y'));
    await view.waitFor(() => view.objects.has('Namespace/y'), 'a later change');
    assert.equal(view.objects.get('Namespace/x'), '1');
    writeFileSync(join(root, 'a/x.yaml'), NAMESPACE('x', '2'));
    await view.waitFor(() => view.objects.get('Namespace/x') === '2', 'written');
    writeFileSync(join(root, 'a/x.yaml'), '');
    await view.waitFor(() => !view.objects.has('Namespace/x'), 'empty for good');
  });

  it('stands in for a policy that was never accepted, until it is right, or gone, or refuses nothing', async () => {
    const key = 'AuthorizationPolicy/n/p';
    write('a/p.yaml', policy('{action: DENY, rulez: []}'));
    const view = await start('a');
    assert.equal(view.objects.get(key), 'stand-in DENY 1');
    assert.ok(view.refused.has(key));
    write('a/p.yaml', policy('{rulez: []}'));
    await view.waitFor(() => view.objects.get(key) === 'stand-in ALLOW 0', 'another meaning');
    write('a/p.yaml', policy('{action: AUDIT, rulez: []}'));
    await view.waitFor(() => !view.objects.has(key), 'AUDIT refuses nobody');
    assert.ok(view.refused.has(key));
    write('a/p.yaml', policy('{rulez: []}'));
    await view.waitFor(() => view.objects.has(key), 'again');
    write('a/p.yaml', policy('{action: DENY, rules: [{}]}'));
    await view.waitFor(() => view.objects.get(key) === 'DENY 1', 'right');
    assert.equal(view.refused.has(key), false);
    write('a/p.yaml', policy('{rulez: []}'));
    await view.waitFor(() => view.refused.has(key), 'an edit that is wrong');
    assert.equal(view.objects.get(key), 'DENY 1', 'the version before it');
    rmSync(join(root, 'a/p.yaml'));
    await view.waitFor(() => !view.objects.has(key) && !view.refused.has(key), 'deleted');
  });

  it('keeps over a restart what was in force of an object that cannot be used', async () => {
    const key = 'Namespace/x';
    write('a/x.yaml', NAMESPACE('x', '1'));
    await start('a');
    await sources.pop()?.stop();
    for (const restart of ['first', 'second']) {
      write('a/x.yaml', NAMESPACE('x', `2 ${restart}`));
      const view = new View();
      const source = sourceOf(['a']);
      await source.start((change) => {
        const [object] = change.upserts;
        assert.ok(object !== undefined);
        const before = source.acceptedBefore(object);
        assert.ok(before !== undefined, restart);
        view.take({ ...change, upserts: [before] });
        source.unusable(key, before);
      });
      assert.equal(view.objects.get(key), '1', restart);
      await source.stop();
    }
  });

  it('starts with the last good version of what is broken or refused now', async () => {
    write('a/broken.yaml', NAMESPACE('x', '1'));
    write('a/invalid.yaml', INVALID.replace('{ports: no}', '{ports: [{port: 80}]}'));
    const first = await start('a');
    assert.equal(first.objects.size, 2);
    await sources.pop()?.stop();
    write('a/broken.yaml', BROKEN);
    write('a/invalid.yaml', INVALID);
    const view = await start('a');
    assert.equal(view.objects.get('Namespace/x'), '1');
    assert.ok(view.objects.has('Service/n/s'));
    assert.deepEqual([...view.refused.keys()].sort(), [
      'File/broken.yaml',
      'Namespace/x',
      'Service/n/s',
    ]);
    await sources.pop()?.stop();
    rmSync(join(root, 'a/broken.yaml'));
    rmSync(join(root, 'a/invalid.yaml'));
    assert.equal((await start('a')).objects.size, 0, 'deleted is deleted');
  });
});
