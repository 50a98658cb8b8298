/** The conformance suite of HTTP/2 against the engine as its clients meet it: every case, strict. Needs Go. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { h2specProgram, runH2spec, TestServer } from '@ambit/h2/testing';
import { startHarness } from './fixtures/harness.ts';

const CASES = 146;
/** The first run on a machine builds the program. */
const TIMEOUT_MS = 300_000;

it('h2spec passes whole against the engine', { timeout: TIMEOUT_MS }, async () => {
  const program = h2specProgram();
  await using backend = await TestServer.listen();
  await using harness = await startHarness({
    backends: [{ name: 'v1', port: backend.port }],
    protocol: 'HTTP2',
  });
  const result = await runH2spec(program, { host: '127.0.0.1', port: harness.port });
  assert.deepEqual(
    { ...result, report: result.report.trim() },
    { passed: CASES, skipped: 0, failed: 0, report: '' },
  );
  assert.equal(harness.engine.http2Counters.callbackErrors, 0);
});
