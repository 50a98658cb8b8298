/** Rules of DestinationRule. */
import { POLICY_PLACES } from '../unsupported.ts';
import { expandPattern } from '../value/pattern.ts';
import { exportToRules } from './export-to.ts';
import { complainDuplicates, type View } from './view.ts';

/** Everything of §2.16 about a DestinationRule. */
export function destinationRuleRules(root: View): void {
  const spec = root.at('spec');
  if (!spec.exists) return;
  const subsets = spec.at('subsets').items;
  complainDuplicates(
    subsets.map((subset) => subset.at('name')),
    'subset',
  );
  for (const subset of subsets) {
    if (
      subset.at('labels').fields.length === 0 &&
      subset.at('name').exists &&
      !subset.at('trafficPolicy').exists
    ) {
      subset.complain({
        code: 'SUBSET_WITHOUT_LABELS',
        severity: 'warning',
        message: 'has no labels: it is every endpoint of the host',
        fix: 'write labels: {version: …}',
      });
    }
    const name = subset.at('name');
    if (
      name.text !== undefined &&
      !/^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(name.text)
    ) {
      name.complain({
        code: 'INVALID_NAME',
        message: 'is not a name for a subset',
        allowed: 'letters, digits, -, _ and ., at most 63',
      });
    }
  }
  for (const pattern of POLICY_PLACES) {
    for (const path of expandPattern(root.value, pattern)) policyRules(root.at(...path));
  }
  exportToRules(spec.at('exportTo'));
  const exported = spec.at('exportTo').items;
  if (spec.at('workloadSelector').exists && exported.some(({ text }) => text !== '.')) {
    spec.at('exportTo').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'a rule for selected workloads holds in its own namespace only',
      fix: 'write exportTo: ["."]',
    });
  }
  if (!spec.at('trafficPolicy').exists && subsets.length === 0) {
    spec.complain({
      code: 'NO_EFFECT',
      severity: 'warning',
      message: 'has neither trafficPolicy nor subsets: it does nothing',
    });
  }
}

function policyRules(policy: View): void {
  if (policy.fields.length === 0 && policy.exists) {
    policy.complain({ code: 'REQUIRED_FIELD', message: 'is empty', fix: 'remove it' });
  }
  const ports = policy.at('portLevelSettings').items.map((entry) => entry.at('port', 'number'));
  complainDuplicates(ports, 'entry for a port', (view) => view.number?.toString());
  poolRules(policy.at('connectionPool'));
  loadBalancerRules(policy.at('loadBalancer'));
  outlierRules(policy.at('outlierDetection'));
  tlsRules(policy.at('tls'));
}

function poolRules(pool: View): void {
  if (!pool.exists) return;
  if (pool.said(['tcp', 'http']).length === 0)
    pool.complain({ code: 'REQUIRED_FIELD', message: 'is empty', allowed: 'tcp, http' });
  const http = pool.at('http');
  if (
    http.at('useClientProtocol').value === true &&
    http.at('h2UpgradePolicy').text === 'UPGRADE'
  ) {
    http.at('useClientProtocol').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside h2UpgradePolicy UPGRADE',
      fix: 'remove one of them',
    });
  }
}

const HASH_KEYS = ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'];
const HASH_ALGORITHMS = ['ringHash', 'maglev', 'minimumRingSize'];

function loadBalancerRules(balancer: View): void {
  const hash = balancer.at('consistentHash');
  if (balancer.at('simple').exists && hash.exists) {
    hash.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside simple',
      fix: 'remove one of them',
    });
  }
  if (!hash.exists) return;
  if (hash.said(HASH_KEYS).length !== 1) {
    hash.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'needs one thing to hash',
      allowed: `exactly one of ${HASH_KEYS.join(', ')}`,
    });
  }
  if (hash.said(HASH_ALGORITHMS).length > 1) {
    hash.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'names more than one algorithm',
      allowed: `at most one of ${HASH_ALGORITHMS.join(', ')}`,
    });
  }
  const size = hash.at('maglev', 'tableSize');
  if (size.number !== undefined && size.number < 5_000_011 && !isPrime(size.number)) {
    size.complain({
      code: 'INVALID_VALUE',
      message: 'is not a prime number',
      allowed: 'a prime below 5000011, such as 65537',
    });
  }
}

function isPrime(value: number): boolean {
  if (!Number.isInteger(value) || value < 2) return false;
  for (let factor = 2; factor * factor <= value; factor += 1)
    if (value % factor === 0) return false;
  return true;
}

function outlierRules(outlier: View): void {
  if (!outlier.exists) return;
  const percent = outlier.at('maxEjectionPercent').number ?? 10;
  const message =
    percent === 0
      ? 'ejects at most 0 percent of the endpoints: nothing is ever ejected'
      : `ejects at most ${percent} percent of the endpoints: with fewer than ${Math.ceil(100 / percent)} nothing is ever ejected`;
  if (percent <= 10) {
    outlier.complain({
      code: 'EJECTION_NEEDS_MANY',
      severity: 'info',
      message,
      fix: 'write maxEjectionPercent: 50',
    });
  }
}

const FILES = ['clientCertificate', 'privateKey'];

function tlsRules(tls: View): void {
  const mode = tls.at('mode').text;
  if (mode === 'MUTUAL' && !tls.at('credentialName').exists) {
    // The files themselves are set aside before rules run; a MUTUAL without secret names them or nothing.
    tls.at('mode').complain({
      code: 'MUTUAL_WITHOUT_SECRET',
      severity: 'warning',
      message: 'needs a certificate of the client',
      fix: 'write credentialName',
    });
  }
  if (mode !== 'ISTIO_MUTUAL') return;
  for (const field of tls.said([...FILES, 'credentialName', 'caCertificates'])) {
    tls.at(field).complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside mode ISTIO_MUTUAL, which uses the certificates of the mesh',
      fix: 'remove it',
    });
  }
}
