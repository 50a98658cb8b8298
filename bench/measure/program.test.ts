import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseListeningPorts } from './program.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n';

describe('parseListeningPorts', () => {
  it('finds listeners of both families and no connections', () => {
    const text = `${HEAD}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000
   1: 0100007F:0050 0100007F:C350 01 00000000:00000000 00:00000000
${HEAD}   0: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 0:0\n`;
    assert.deepEqual([...parseListeningPorts(text)], [8080, 8443]);
  });

  it('finds nothing in what is no such table', () => {
    for (const text of ['', HEAD, '   0: zz:1F90 00000000:0000 0A \n', '   0: 0100007F:1F90']) {
      assert.equal(parseListeningPorts(text).size, 0, text);
    }
  });
});
