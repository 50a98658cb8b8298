import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  hasEntry,
  insertEntry,
  PLUGIN_TYPE,
  type PluginEntry,
  removeEntry,
  wrapConf,
} from './conflist.ts';

const ENTRY: PluginEntry = {
  type: PLUGIN_TYPE,
  runDir: '/var/run/ambit',
  exemptNamespaces: ['kube-system'],
  agentPods: 'istio-system/ambit-node-agent-',
};
const TEXT = JSON.stringify(ENTRY);

const PRETTY = `{
\t"cniVersion": "1.0.0",   "name": "k8s",
\t"plugins": [
\t\t{"type": "calico", "odd": 1.50, "big": 12345678901234567890, "text": "]},\\"plugins\\":["},
\t\t{"type": "portmap"}
\t], "unknown": [1,2 , 3]
}
`;

describe('insertEntry', () => {
  it('changes nothing but the place where it puts the entry', () => {
    assert.equal(
      insertEntry(PRETTY, ENTRY),
      PRETTY.replace('{"type": "portmap"}', `{"type": "portmap"},\n\t\t${TEXT}`),
    );
    assert.equal(
      insertEntry('{"plugins":[{"type":"a"}]}', ENTRY),
      `{"plugins":[{"type":"a"},${TEXT}]}`,
    );
  });

  it('leaves an entry where it is, and brings an old one up to date', () => {
    const inserted = insertEntry(PRETTY, ENTRY);
    assert.equal(insertEntry(inserted, ENTRY), inserted);
    // A chained plugin that came later may stand behind.
    const between = `{"plugins":[{"type":"a"},${TEXT},{"type":"istio-cni"}]}`;
    assert.equal(insertEntry(between, ENTRY), between);
    const newer = { ...ENTRY, runDir: '/run/other' };
    assert.equal(insertEntry(between, newer), between.replace('/var/run/ambit', '/run/other'));
  });

  it('goes behind the plugin that makes the network, and is there once', () => {
    const wanted = `{"plugins":[{"type":"a"},${TEXT}]}`;
    assert.equal(insertEntry(`{"plugins":[${TEXT},{"type":"a"}]}`, ENTRY), wanted);
    assert.equal(insertEntry(`{"plugins":[{"type":"a"},${TEXT},${TEXT}]}`, ENTRY), wanted);
  });

  it('refuses what is no list with a plugin in it', () => {
    const bad = ['', '{', '[]', '{}', '{"plugins":{}}', '{"plugins":[]}', `{"plugins":[${TEXT}]}`];
    for (const text of bad) {
      assert.throws(() => insertEntry(text, ENTRY), { name: 'ConflistError' }, text);
    }
  });
});

describe('removeEntry', () => {
  it('gives back what was there before', () => {
    for (const text of [
      PRETTY,
      '{"plugins":[{"type":"a"}]}',
      '{ "plugins" : [ { "type":"a" } ] }',
    ]) {
      assert.equal(removeEntry(insertEntry(text, ENTRY)), text);
      assert.equal(removeEntry(text), text);
    }
  });

  it('works wherever the entry stands, and leaves alone what is no list', () => {
    assert.equal(removeEntry(`{"plugins":[${TEXT}, {"type":"a"}]}`), '{"plugins":[{"type":"a"}]}');
    assert.equal(removeEntry(`{"plugins":[ ${TEXT} ]}`), '{"plugins":[  ]}');
    for (const text of ['', 'no JSON', '{"plugins":7}', '[]']) {
      assert.equal(removeEntry(text), text);
    }
  });
});

describe('wrapConf', () => {
  it('makes a list of a single configuration, and refuses what is none', () => {
    const single = '{\n  "cniVersion": "0.3.1",\n  "name": "net",\n  "type": "bridge"\n}\n';
    const list: unknown = JSON.parse(wrapConf(single));
    const plugin: unknown = JSON.parse(single);
    assert.deepEqual(list, { cniVersion: '0.3.1', name: 'net', plugins: [plugin] });
    for (const text of ['', '[]', '{}', '{"name":"x"}', '{"type":"x"}', PRETTY]) {
      assert.throws(() => wrapConf(text), { name: 'ConflistError' }, text);
    }
  });
});

describe('any configuration', () => {
  it('comes back byte for byte, and parses to the same with the entry last', () => {
    const space = fc.constantFrom('', ' ', '\n', '\t ', '\r\n');
    const plugin = fc
      .dictionary(fc.string(), fc.jsonValue())
      .map((fields) => ({ ...fields, type: 'other' }));
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.array(plugin, { minLength: 1, maxLength: 4 }),
        space,
        space,
        (fields, plugins, indent, before) => {
          const text = `${before}${JSON.stringify({ ...fields, plugins }, undefined, indent)}${before}`;
          const inserted = insertEntry(text, ENTRY);
          const parsed = JSON.parse(text) as { readonly plugins: readonly unknown[] };
          const wanted = { ...parsed, plugins: [...parsed.plugins, ENTRY] };
          assert.deepEqual(JSON.parse(inserted), wanted);
          assert.ok(hasEntry(inserted) && !hasEntry(text));
          assert.equal(removeEntry(inserted), text);
        },
      ),
    );
  });

  it('that is none is refused or left alone, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        assert.equal(removeEntry(text), text);
        try {
          insertEntry(text, ENTRY);
        } catch (error) {
          assert.ok(error instanceof Error && error.name === 'ConflistError');
        }
      }),
    );
  });
});
