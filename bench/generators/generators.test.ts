import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseH2load } from './h2load.ts';
import { parseIperf } from './iperf.ts';
import { requireAnswered } from './load-result.ts';
import { parseOpenLoop } from './open-loop.ts';
import { parseWrk } from './wrk.ts';

const WRK = `Running 3s test @ http://10.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms    1.14ms  23.01ms   92.11%
    Req/Sec    63.67k     5.48k   69.06k    90.00%
  190281 requests in 3.01s, 224.63MB read
`;
const END = 'Requests/sec:  63216.57\nTransfer/sec:     74.63MB\n';

const H2LOAD = `starting benchmark...
finished in 3.00s, 24333.67 req/s, 25.01MB/s
requests: 73001 total, 73065 started, 73001 done, 73001 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 73065 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 75.02MB (78663040) total, 71.3KB (73065) headers (space savings 95.00%), 71.29MB data
`;

describe('parseWrk', () => {
  it('reads requests, time and everything that failed', () => {
    assert.deepEqual(parseWrk(WRK + END), { requests: 190_281, seconds: 3.01, failed: 0 });
    const bad = `${WRK}  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 50\n${END}`;
    assert.equal(parseWrk(bad).failed, 60);
    assert.equal(parseWrk(WRK.replace('3.01s', '1.50m')).seconds, 90);
    assert.equal(parseWrk(WRK.replace('3.01s', '500.00ms')).seconds, 0.5);
  });

  it('refuses what is no report', () => {
    for (const text of ['', 'unable to connect to 10.0.0.1:8080 Connection refused', END]) {
      assert.throws(() => parseWrk(text), RangeError, text);
    }
  });
});

describe('parseH2load', () => {
  it('reads requests, time and everything that failed', () => {
    assert.deepEqual(parseH2load(H2LOAD), { requests: 73_001, seconds: 3, failed: 0 });
    const bad = H2LOAD.replace('0 failed, 0 errored, 0 timeout', '7 failed, 5 errored, 2 timeout');
    assert.equal(parseH2load(bad).failed, 9);
    assert.equal(parseH2load(H2LOAD.replace('0 4xx, 0 5xx', '30 4xx, 4 5xx')).failed, 34);
  });

  it('refuses what is no report', () => {
    for (const text of ['', 'h2load: error', H2LOAD.replace('status codes', 'x')]) {
      assert.throws(() => parseH2load(text), RangeError, text.slice(0, 20));
    }
  });
});

describe('parseIperf', () => {
  it('reads what the receiver got', () => {
    const text =
      '{"end": {"sum_sent": {"bytes": 9}, "sum_received": {"bytes": 8, "seconds": 2.5}}}';
    assert.deepEqual(parseIperf(text), { bytes: 8, seconds: 2.5 });
  });

  it('refuses failures and empty runs', () => {
    const table = [
      '{"error": "unable to connect", "end": {}}',
      '{"error": "late", "end": {"sum_received": {"bytes": 8, "seconds": 2}}}',
      '{"end": {"sum_received": {"bytes": 0, "seconds": 2}}}',
      '{"end": {}}',
      '{}',
    ];
    for (const text of table) {
      assert.throws(() => parseIperf(text), RangeError, text);
    }
    assert.throws(() => parseIperf('iperf3: error'), SyntaxError);
  });
});

describe('parseOpenLoop', () => {
  it('reads the line of JSON', () => {
    const line = '{"requests":9,"failed":1,"seconds":2,"p50":0.1,"p90":0.2,"p99":3}';
    assert.equal(parseOpenLoop(`counting\n${line}\n`).p99, 3);
  });

  it('refuses what is no report', () => {
    for (const text of ['', 'counting', '{"requests":9}', '{"requests":"x"}']) {
      assert.throws(() => parseOpenLoop(text), RangeError, text);
    }
  });
});

describe('requireAnswered', () => {
  it('passes one failure in a thousand and no more', () => {
    const at = (requests: number, failed: number) => ({ requests, failed, seconds: 1 });
    assert.equal(requireAnswered(at(1_000, 1)).requests, 1_000);
    for (const result of [at(0, 0), at(1_000, 2), at(10, 10)]) {
      assert.throws(() => requireAnswered(result), /requests failed/);
    }
  });
});
