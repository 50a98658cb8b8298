import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { serviceRules } from './service-rules.ts';

const GATEWAY = { v4: '10.241.1.1', v6: 'fd00:241:1::1' };

describe('serviceRules', () => {
  it('spreads each family over the endpoints of that family', () => {
    const text = serviceRules(
      [
        {
          addresses: ['10.242.1.1', 'fd00:242::1'],
          port: 80,
          protocol: 'tcp',
          endpoints: [
            { address: '10.241.1.2', port: 8080 },
            { address: 'fd00:241:1::2', port: 8080 },
            { address: '10.241.2.2', port: 8081 },
          ],
        },
      ],
      GATEWAY,
    );
    assert.match(
      text,
      /ip daddr 10\.242\.1\.1 tcp dport 80 dnat ip to numgen random mod 2 map \{ 0 : 10\.241\.1\.2 \. 8080, 1 : 10\.241\.2\.2 \. 8081 \}/,
    );
    assert.match(text, /ip6 daddr fd00:242::1 tcp dport 80 dnat ip6 to numgen random mod 1 map/);
    assert.doesNotMatch(text, /reject/);
    assert.match(text, /ip saddr 10\.241\.2\.2 ip daddr 10\.241\.2\.2 snat ip to 10\.241\.1\.1/);
  });

  it('refuses at once where no endpoint is ready, TCP by a reset', () => {
    const service = { addresses: ['10.242.1.1'], port: 53, endpoints: [] };
    const text = serviceRules(
      [
        { ...service, protocol: 'tcp' },
        { ...service, protocol: 'udp' },
      ],
      GATEWAY,
    );
    assert.match(text, /ip daddr 10\.242\.1\.1 tcp dport 53 reject with tcp reset/);
    assert.match(text, /ip daddr 10\.242\.1\.1 udp dport 53 reject\n/);
    assert.doesNotMatch(text, /numgen/);
  });

  it('replaces the rules that were there before', () => {
    assert.match(
      serviceRules([], GATEWAY),
      /^table inet ambit-lab\ndelete table inet ambit-lab\ntable inet ambit-lab \{/,
    );
  });
});
