import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { MutableHeaders } from './header-operations.ts';
import {
  applyHeaderOperations,
  compileHeaderOperations,
  formatHeaderValue,
  hostOf,
  parseHeaderValue,
} from './header-operations.ts';

class Headers implements MutableHeaders {
  readonly values = new Map<string, string[]>();
  set(name: string, value: string): void {
    this.values.set(name, [value]);
  }
  add(name: string, value: string): void {
    this.values.set(name, [...(this.values.get(name) ?? []), value]);
  }
  remove(name: string): void {
    this.values.delete(name);
  }
}

describe('header operations', () => {
  it('remove before set before add, destination before rule', () => {
    const headers = new Headers();
    headers.set('x-old', '1');
    headers.set('x-a', 'client');
    const destination = compileHeaderOperations({
      set: { 'X-A': 'destination', 'x-b': 'destination' },
      add: { 'x-c': '1' },
      remove: ['X-Old'],
    });
    const rule = compileHeaderOperations({
      set: { 'x-a': 'rule' },
      add: { 'x-c': '2' },
      remove: ['x-a'],
    });
    applyHeaderOperations(destination, headers, () => undefined);
    applyHeaderOperations(rule, headers, () => undefined);
    assert.deepEqual(Object.fromEntries(headers.values), {
      'x-a': ['rule'],
      'x-b': ['destination'],
      'x-c': ['1', '2'],
    });
  });

  it('set replaces what the client sent, add keeps it', () => {
    const headers = new Headers();
    headers.set('x-a', 'client');
    headers.set('x-b', 'client');
    const operations = compileHeaderOperations({
      set: { 'x-a': 'mesh' },
      add: { 'x-b': 'mesh' },
      remove: [],
    });
    applyHeaderOperations(operations, headers, () => undefined);
    assert.deepEqual(Object.fromEntries(headers.values), {
      'x-a': ['mesh'],
      'x-b': ['client', 'mesh'],
    });
  });

  it('leaves the host to the route, and never touches pseudo headers', () => {
    const operations = {
      set: { ':authority': 'a', ':path': '/evil', 'x-y': '1' },
      add: { Host: 'b' },
      remove: [':method', 'host'],
    };
    assert.equal(hostOf(operations), 'a');
    const names = compileHeaderOperations(operations).map(({ name }) => name);
    assert.deepEqual(names, ['x-y']);
  });
});

describe('parseHeaderValue', () => {
  it('leaves out blanks around the value', () => {
    for (const written of [' a b', 'a b\t ', '\ta b']) {
      assert.equal(
        formatHeaderValue(parseHeaderValue(written), () => '?'),
        'a b',
      );
    }
    assert.equal(
      formatHeaderValue(parseHeaderValue('\u00a0'), () => '?'),
      '\xc2\xa0',
    );
  });

  const lookup = (variable: string, argument?: string) =>
    variable === 'HOSTNAME'
      ? undefined
      : `<${variable}${argument === undefined ? '' : `:${argument}`}>`;
  for (const [text, expected] of [
    ['plain', 'plain'],
    ['', ''],
    ['100%%', '100%'],
    ['100%', '100%'],
    ['%PROTOCOL%', '<PROTOCOL>'],
    ['a%PROTOCOL%b%REQ(X-A)%', 'a<PROTOCOL>b<REQ:X-A>'],
    ['%HOSTNAME%', '-'],
    ['%UNKNOWN_THING%', '%UNKNOWN_THING%'],
    ['%%PROTOCOL%%', '%PROTOCOL%'],
    ['%START_TIME(%s.%3f)%', '<START_TIME:%s.%3f>'],
    ['caf\u00e9', 'caf\xc3\xa9'],
    ['\u65e5%PROTOCOL%\u010d\u010a', '\xe6\x97\xa5<PROTOCOL>\xc4\x8d\xc4\x8a'],
    ['%\u00e9%', '%\xc3\xa9%'],
  ] as const) {
    it(`writes "${text}" as "${expected}"`, () => {
      assert.equal(formatHeaderValue(parseHeaderValue(text), lookup), expected);
    });
  }

  it('lets no control character through a variable', () => {
    const value = formatHeaderValue(parseHeaderValue('%REQ(x)%'), () => 'a\r\nx-admin: 1');
    assert.equal(value, 'ax-admin: 1');
  });

  it('leaves no blank at the ends where a variable stands for nothing', () => {
    for (const [text, sent] of [
      ['%REQ(x)% foo', 'foo'],
      ['foo %REQ(x)%', 'foo'],
      ['%REQ(x)% %REQ(x)%', ''],
      ['a %REQ(x)% b', 'a  b'],
    ] as const) {
      assert.equal(
        formatHeaderValue(parseHeaderValue(text), () => ''),
        sent,
        text,
      );
    }
  });

  it('keeps the bytes that a variable stands for', () => {
    const value = formatHeaderValue(parseHeaderValue('\u00e9%REQ(x)%'), () => '\xc3\xa9\xff');
    assert.equal(value, '\xc3\xa9\xc3\xa9\xff');
  });

  it('never throws and writes text without % in UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const value = formatHeaderValue(parseHeaderValue(`[${text}]`), () => '?');
        if (!text.includes('%'))
          assert.deepEqual(Buffer.from(value, 'latin1'), Buffer.from(`[${text}]`));
      }),
    );
  });
});
