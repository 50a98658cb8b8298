import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, encode, type RecordType } from 'dns-packet';
import fc from 'fast-check';
import { answerQuery, type DnsZone } from './dns-answers.ts';

const ZONE: DnsZone = {
  addresses: new Map([
    ['web.shop.svc.cluster.local', ['10.242.1.1', 'fd00:242::1']],
    ['v4.shop.svc.cluster.local', ['10.242.1.2']],
    ['empty.shop.svc.cluster.local', []],
  ]),
  aliases: new Map([
    ['old.shop.svc.cluster.local', 'web.shop.svc.cluster.local'],
    ['away.shop.svc.cluster.local', 'example.com'],
    ['loop.shop.svc.cluster.local', 'loop.shop.svc.cluster.local'],
  ]),
};

function ask(name: string, type: RecordType = 'A'): { rcode: number; data: string[] } {
  const response = answerQuery(ZONE, { id: 7, flags: 0x01_00, questions: [{ name, type }] });
  assert.equal(response.id, 7, name);
  const data = (response.answers ?? []).map((answer) =>
    'data' in answer ? String(answer.data) : '',
  );
  return { rcode: (response.flags ?? 0) & 15, data };
}

describe('answerQuery', () => {
  const answered: [string, RecordType, string[]][] = [
    ['web.shop.svc.cluster.local', 'A', ['10.242.1.1']],
    ['web.shop.svc.cluster.local', 'AAAA', ['fd00:242::1']],
    ['WEB.Shop.svc.CLUSTER.local', 'A', ['10.242.1.1']],
    ['v4.shop.svc.cluster.local', 'AAAA', []],
    ['web.shop.svc.cluster.local', 'MX', []],
    ['empty.shop.svc.cluster.local', 'A', []],
    ['shop.svc.cluster.local', 'A', []],
    ['svc.cluster.local', 'A', []],
    ['old.shop.svc.cluster.local', 'A', ['web.shop.svc.cluster.local', '10.242.1.1']],
    ['away.shop.svc.cluster.local', 'A', ['example.com']],
    ['10-241-1-5.shop.pod.cluster.local', 'A', ['10.241.1.5']],
    ['10-241-1-5.shop.pod.cluster.local', 'AAAA', []],
  ];
  for (const [name, type, data] of answered) {
    it(`answers ${type} of ${name} with [${data.join(', ')}]`, () => {
      assert.deepEqual(ask(name, type), { rcode: 0, data });
    });
  }

  const unknown = [
    'web',
    'web.other.svc.cluster.local',
    'b.shop.svc.cluster.local',
    'hop.svc.cluster.local',
    'example.com',
    '10-241-1-500.shop.pod.cluster.local',
    '10-241-1.shop.pod.cluster.local',
  ];
  for (const name of unknown) {
    it(`says NXDOMAIN for ${name}`, () => {
      assert.deepEqual(ask(name), { rcode: 3, data: [] });
    });
  }

  it('ends an alias of itself', () => {
    assert.equal(ask('loop.shop.svc.cluster.local').rcode, 0);
  });

  it('refuses a query without exactly one question', () => {
    assert.equal((answerQuery(ZONE, { questions: [] }).flags ?? 0) & 15, 1);
    const twice = { name: 'a', type: 'A' } as const;
    assert.equal((answerQuery(ZONE, { questions: [twice, twice] }).flags ?? 0) & 15, 1);
  });

  it('makes a response that can be sent from whatever can be decoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 300 }), (bytes) => {
        let query: ReturnType<typeof decode>;
        try {
          query = decode(Buffer.from(bytes));
        } catch {
          // The server drops what does not decode.
          return;
        }
        const response = answerQuery(ZONE, query);
        assert.equal(response.id, query.id);
        assert.equal(response.type, 'response');
      }),
    );
  });

  it('answers every name that can be written, in bytes that decode to the same', () => {
    const label = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 6 }), (labels) => {
        const name = labels.join('.');
        const response = answerQuery(ZONE, { id: 1, questions: [{ name, type: 'A' }] });
        assert.equal(decode(encode(response)).questions?.[0]?.name, name);
      }),
    );
  });
});
