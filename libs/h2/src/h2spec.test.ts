/** The conformance suite that all implementations are held against: every case, strict. Needs Go. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EDGE_LIMITS, MESH_LIMITS } from './session/limits.ts';
import { TestServer } from './testing/echo-server.ts';
import { h2specProgram, runH2spec } from './testing/h2spec.ts';

const CASES = 146;
/** The first run on a machine builds the program. */
const TIMEOUT_MS = 300_000;

describe('h2spec', () => {
  for (const [name, limits] of [
    ['mesh', MESH_LIMITS],
    ['edge', EDGE_LIMITS],
  ] as const) {
    it(`passes whole with the limits of the ${name}`, { timeout: TIMEOUT_MS }, async () => {
      const program = h2specProgram();
      await using server = await TestServer.listen({ limits });
      const result = await runH2spec(program, { host: '127.0.0.1', port: server.port });
      assert.deepEqual(
        { ...result, report: result.report.trim() },
        { passed: CASES, skipped: 0, failed: 0, report: '' },
      );
      assert.equal(server.counters.callbackErrors, 0);
    });
  }
});
