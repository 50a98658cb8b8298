import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  createLogger,
  describeError,
  JsonFields,
  LogLevelError,
  LogLevels,
  OnceUntil,
} from './log.ts';

function capture(spec: string) {
  const lines: string[] = [];
  const levels = new LogLevels(spec);
  const log = createLogger({
    scope: 'access',
    levels,
    sink: { write: (line) => void lines.push(line) },
    wallNow: () => 0,
  });
  return { lines, levels, log };
}

describe('createLogger', () => {
  it('writes one JSON line with level, time, scope, message and fields', () => {
    const { lines, log } = capture('info');
    log.info('connection complete', { 'src.addr': '10.0.0.1:1', bytes: 3n });
    assert.deepEqual(lines, [
      '{"level":"info","time":"1970-01-01T00:00:00.000Z","scope":"access","message":"connection complete","src.addr":"10.0.0.1:1","bytes":"3"}\n',
    ]);
  });

  it('writes fields that are text already as it writes others', () => {
    const fields = { path: '/a"\\\u2028\n', n: -1.5, none: undefined, list: ['a', '"'], empty: '' };
    const noNumbers = { nan: Number.NaN, infinite: Number.NEGATIVE_INFINITY };
    const text = new JsonFields()
      .add('path', fields.path)
      .add('n', fields.n)
      .add('none', undefined)
      .add('list', fields.list)
      .add('empty', '')
      .add('nan', noNumbers.nan)
      .add('infinite', noNumbers.infinite).text;
    for (const at of [0, 999, 1_000, 1_700_000_000_001.9, 1_699_999_999_999, -1]) {
      const lines: string[] = [];
      const sink = { write: (line: string) => void lines.push(line) };
      const log = createLogger({
        ...{ scope: 'a"b', levels: new LogLevels('info'), sink, wallNow: () => at },
      });
      log.info('said "so"', { ...fields, ...noNumbers });
      log.line('info', 'said "so"', text);
      log.line('debug', 'not seen', text);
      assert.equal(lines.length, 2);
      assert.equal(lines[1], lines[0]);
      assert.equal(JSON.parse(lines[0] ?? '').time, new Date(at).toISOString());
    }
  });

  it('shows an error as its chain of causes and survives a loop', () => {
    const { lines, log } = capture('info');
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    log.error('failed', { error: new Error('a', { cause: new Error('b') }), loop });
    assert.match(lines[0] ?? '', /"error":"a: b","loop":\{"self":"\[circular\]"\}/);
  });

  it('obeys the level of its scope over the base level', () => {
    const { lines, log } = capture('error,access=debug');
    log.debug('seen');
    log.trace('not seen');
    log.scoped('xds').info('not seen');
    log.scoped('xds').error('seen');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).message),
      ['seen', 'seen'],
    );
  });
});

describe('LogLevels', () => {
  for (const spec of ['loud', 'info,access=loud', '=', 'a:b']) {
    it(`refuses ${spec} and changes nothing`, () => {
      const levels = new LogLevels('warn');
      assert.throws(() => levels.apply(spec), LogLevelError);
      assert.equal(levels.toString(), 'warn');
    });
  }

  it('goes back to the start with reset', () => {
    const levels = new LogLevels('warn,dns=debug');
    levels.apply('trace,xds=off');
    assert.equal(levels.isEnabled('xds', 'error'), false);
    levels.reset();
    assert.equal(levels.toString(), 'dns=debug,warn');
  });
});

it('describeError stops at five causes', () => {
  let error = new Error('0');
  for (let i = 1; i < 9; i++) {
    error = new Error(String(i), { cause: error });
  }
  assert.equal(describeError(error), '8: 7: 6: 5: 4');
});

it('OnceUntil says an outage once', () => {
  const outage = new OnceUntil();
  assert.deepEqual(
    [outage.failed(), outage.failed(), outage.succeeded(), outage.succeeded(), outage.failed()],
    [true, false, true, false, true],
  );
});
