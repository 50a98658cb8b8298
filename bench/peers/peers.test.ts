import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { currentNetns } from '@ambit/netns';
import { temporaryFolder } from '../measure/program.ts';
import { envoyConfig } from './envoy.ts';
import { haproxyPeerConfig } from './haproxy-http.ts';
import type { HttpPeerOptions } from './http-proxy.ts';
import { HTTP_RULES } from './http-rules.ts';
import { peerConfig } from './nginx.ts';
import { writeTlsFiles } from './tls-files.ts';
import { parseVersion } from './tools.ts';

const TLS = writeNothing();

function writeNothing(): HttpPeerOptions['tls'] {
  const leaf = (name: string) => ({
    ...{ certificate: `${name}.crt`, key: `${name}.key`, combined: `${name}.pem` },
    host: `${name}.bench`,
  });
  return {
    ca: 'ca.pem',
    leaves: { client: leaf('client'), proxy: leaf('proxy'), server: leaf('server') },
  };
}

describe('configurations of the HTTP peers', () => {
  for (const isTls of [false, true]) {
    it(`say the same rules, ${isTls ? 'with' : 'without'} mutual TLS to the origin`, () => {
      using netns = currentNetns();
      const upstream = { address: '10.0.0.9', port: 8080, isTls };
      const options = { netns, folder: '/nowhere', tls: TLS, upstream };
      const texts = {
        nginx: peerConfig(options),
        haproxy: haproxyPeerConfig(options),
        envoy: JSON.stringify(envoyConfig(options)),
      };
      for (const [name, text] of Object.entries(texts)) {
        for (const { prefix, headerValue } of HTTP_RULES) {
          assert.ok(text.includes(prefix), `${name} has ${prefix}`);
          assert.ok(text.includes(headerValue), `${name} has ${headerValue}`);
        }
        assert.equal(text.includes('server.bench'), isTls, `${name} checks the origin's name`);
        assert.ok(text.includes('10.0.0.9'), name);
      }
    });
  }
});

describe('writeTlsFiles', () => {
  it('makes leaves that belong to their key and their CA, keys for their owner alone', () => {
    using folder = temporaryFolder();
    const tls = writeTlsFiles(folder.path);
    const ca = new X509Certificate(readFileSync(tls.ca));
    for (const leaf of Object.values(tls.leaves)) {
      const certificate = new X509Certificate(readFileSync(leaf.certificate));
      assert.ok(certificate.verify(ca.publicKey), leaf.host);
      assert.equal(certificate.checkHost(leaf.host), leaf.host);
      assert.equal(statSync(leaf.key).mode & 0o777, 0o600);
      assert.equal(statSync(leaf.combined).mode & 0o777, 0o600);
    }
  });
});

describe('parseVersion', () => {
  it('finds it in what programs say about themselves', () => {
    const table = {
      'HAProxy version 2.6.12-1+deb12u4 2026/10/17': '2.6.12',
      'nginx version: nginx/1.22.1': '1.22.1',
      'envoy  version: 9e5580933739775e8bce/1.40.0/Clean/RELEASE/BoringSSL': '1.40.0',
      'wrk debian/4.1.0-3+b2 [epoll]': '4.1.0',
      'iperf 3.12 (cJSON 1.7.15)': '3.12',
      'not found': 'unknown',
    };
    for (const [text, version] of Object.entries(table)) {
      assert.equal(parseVersion(text), version, text);
    }
  });
});
