import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { exclusionsOf, inboundExclusionRules, outboundExclusionRules } from './exclusions.ts';

const annotation = (name: string, text: string) =>
  exclusionsOf({ [`traffic.sidecar.istio.io/${name}`]: text });

describe('exclusionsOf', () => {
  it('reads ports and ranges', () => {
    assert.equal(exclusionsOf({ 'traffic.sidecar.istio.io/includeInboundPorts': '1' }), undefined);
    assert.deepEqual(annotation('excludeInboundPorts', '80, 8080,80,'), {
      inboundPorts: [80, 8080],
      outboundPorts: [],
      outboundRanges: [],
    });
    assert.deepEqual(annotation('excludeOutboundIPRanges', '10.1.2.3/8,fd00::1/64,1.2.3.4'), {
      inboundPorts: [],
      outboundPorts: [],
      outboundRanges: ['10.0.0.0/8', 'fd00::/64', '1.2.3.4/32'],
    });
  });

  it('leaves nothing out for what makes no sense, not even a part', () => {
    const many = Array.from({ length: 65 }, (_, index) => index + 1).join(',');
    for (const text of [
      '',
      '0',
      '65536',
      '80,http',
      '80-90',
      '-1',
      '1e3',
      '8080;',
      many,
      '80 accept',
    ]) {
      assert.equal(annotation('excludeInboundPorts', text), undefined, text);
    }
    for (const text of [
      '*',
      'example.com',
      '10.0.0.0/33',
      '10.0.0.0/8,x',
      '10.0.0/8',
      '1.2.3.4 accept',
    ]) {
      assert.equal(annotation('excludeOutboundIPRanges', text), undefined, text);
    }
  });

  it('never lets text become part of a rule', () => {
    const names = ['excludeInboundPorts', 'excludeOutboundPorts', 'excludeOutboundIPRanges'];
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.string(), (name, text) => {
        const found = annotation(name, text);
        for (const rule of [...inboundExclusionRules(found), ...outboundExclusionRules(found)]) {
          assert.match(
            rule,
            /^(tcp dport \{ [0-9, ]+ \}|ip6? daddr [0-9a-f:./]+ meta l4proto tcp) accept$/,
          );
        }
      }),
    );
  });
});
