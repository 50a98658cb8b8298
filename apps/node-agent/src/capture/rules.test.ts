import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type CaptureOptions,
  captureRules,
  DEFAULT_PROBE_SOURCES,
  releaseRules,
  removeRules,
} from './rules.ts';

const OPTIONS: CaptureOptions = {
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources: DEFAULT_PROBE_SOURCES,
};

const REMOVE = `table inet ambit-mangle {}
delete table inet ambit-mangle
table inet ambit-nat {}
delete table inet ambit-nat
table inet ambit-raw {}
delete table inet ambit-raw`;

const MANGLE = `table inet ambit-mangle {
  chain prerouting {
    type filter hook prerouting priority mangle; policy accept;
    meta mark & 0xfff == 0x539 ct mark set ct mark & 0xfffff000 | 0x111
  }
  chain output {
    type route hook output priority mangle; policy accept;
    ct mark & 0xfff == 0x111 meta mark set ct mark
  }
}`;

describe('captureRules', () => {
  it('lets excluded ports and addresses pass before it redirects or drops', () => {
    const exclusions = {
      inboundPorts: [9000, 9001],
      outboundPorts: [5432],
      outboundRanges: ['10.0.0.0/8', 'fd00::/64'],
    };
    const text = captureRules({ ...OPTIONS, exclusions });
    const outbound = [
      '    ip daddr 10.0.0.0/8 meta l4proto tcp accept',
      '    ip6 daddr fd00::/64 meta l4proto tcp accept',
      '    tcp dport { 5432 } accept',
    ].join('\n');
    for (const rule of ['    tcp dport { 9000, 9001 } accept', outbound]) {
      assert.equal(text.split(rule).length, 3, `in the nat chain and the one for strays: ${rule}`);
    }
    assert.ok(text.indexOf('{ 9000') < text.indexOf('redirect to :15006'));
    assert.ok(text.indexOf('{ 5432') < text.indexOf('redirect to :15001'));
  });

  it('writes exactly these rules', () => {
    assert.equal(
      captureRules(OPTIONS),
      `${REMOVE}
${MANGLE}
table inet ambit-nat {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ip saddr 169.254.7.127 meta l4proto tcp accept
    ip6 saddr fd16:9254:7127:1337:ffff:ffff:ffff:ffff meta l4proto tcp accept
    ip daddr != 127.0.0.1 tcp dport != 15008 meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn redirect to :15006
    ip6 daddr != ::1 tcp dport != 15008 meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn redirect to :15006
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr 169.254.7.127 meta l4proto tcp accept
    ip6 daddr fd16:9254:7127:1337:ffff:ffff:ffff:ffff meta l4proto tcp accept
    oifname != "lo" udp dport 53 meta mark & 0xfff != 0x539 redirect to :15053
    ip daddr != 127.0.0.1 tcp dport 53 meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn redirect to :15053
    ip6 daddr != ::1 tcp dport 53 meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn redirect to :15053
    meta l4proto tcp meta mark & 0xfff == 0x111 accept
    oifname "lo" ip daddr != 127.0.0.1 accept
    oifname "lo" ip6 daddr != ::1 accept
    ip daddr != 127.0.0.1 meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn redirect to :15001
    ip6 daddr != ::1 meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn redirect to :15001
  }
  chain stray-in {
    type filter hook prerouting priority dstnat + 10; policy accept;
    ip saddr 169.254.7.127 meta l4proto tcp accept
    ip6 saddr fd16:9254:7127:1337:ffff:ffff:ffff:ffff meta l4proto tcp accept
    iifname != "lo" tcp dport != { 15006, 15008 } meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn ct status & dnat == 0 drop
  }
  chain stray-out {
    type filter hook output priority -90; policy accept;
    ip daddr 169.254.7.127 meta l4proto tcp accept
    ip6 daddr fd16:9254:7127:1337:ffff:ffff:ffff:ffff meta l4proto tcp accept
    meta l4proto tcp meta mark & 0xfff == 0x111 accept
    oifname != "lo" meta mark & 0xfff != 0x539 tcp flags & (fin|syn|rst|ack) == syn ct status & dnat == 0 drop
  }
}
table inet ambit-raw {
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    udp sport 53 meta mark & 0xfff != 0x539 ct zone set 1
  }
  chain output {
    type filter hook output priority raw; policy accept;
    udp dport 53 meta mark & 0xfff == 0x539 ct zone set 1
    oifname "lo" meta mark & 0xfff == 0x539 tcp sport != { 15001, 15006, 15008, 15053 } ct original zone set 2
  }
}`,
    );
  });

  it('leaves names alone without dnsCapture', () => {
    const rules = captureRules({ ...OPTIONS, dnsCapture: false });
    assert.doesNotMatch(rules, /to :15053|port 53\b/);
  });

  it('leaves inbound alone when it is bypassed, and keeps outbound', () => {
    const rules = captureRules({ ...OPTIONS, bypassInbound: true });
    assert.doesNotMatch(rules, /redirect to :15006/);
    assert.match(rules, /redirect to :15001/);
  });

  it('takes what comes from virtual interfaces as outbound, before everything else', () => {
    const rules = captureRules({ ...OPTIONS, virtualInterfaces: ['vm0', 'vm1'] });
    const inbound = rules.slice(rules.indexOf('hook prerouting priority dstnat'));
    assert.deepEqual(
      inbound
        .split('\n')
        .slice(1, 5)
        .map((line) => line.trim()),
      [
        'iifname "vm0" tcp flags & (fin|syn|rst|ack) == syn redirect to :15001',
        'iifname "vm0" meta l4proto tcp return',
        'iifname "vm1" tcp flags & (fin|syn|rst|ack) == syn redirect to :15001',
        'iifname "vm1" meta l4proto tcp return',
      ],
    );
  });

  it('redirects TCP by its first packet only', () => {
    const redirects = captureRules({ ...OPTIONS, virtualInterfaces: ['vm0'] })
      .split('\n')
      .filter((line) => line.includes('redirect') && !line.includes('udp'));
    assert.ok(redirects.length >= 7);
    for (const line of redirects) {
      assert.match(line, /== syn redirect/);
    }
  });
});

describe('releaseRules', () => {
  it('redirects nothing and keeps marks, zones and nat hooks', () => {
    assert.equal(
      releaseRules(),
      `${REMOVE}
${MANGLE}
table inet ambit-nat {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
  }
  chain output {
    type nat hook output priority -100; policy accept;
  }
}
table inet ambit-raw {
  chain output {
    type filter hook output priority raw; policy accept;
    oifname "lo" meta mark & 0xfff == 0x539 tcp sport != { 15001, 15006, 15008, 15053 } ct original zone set 2
  }
}`,
    );
  });
});

describe('removeRules', () => {
  it('removes tables whether they are there or not', () => {
    assert.equal(removeRules(), REMOVE);
  });
});
