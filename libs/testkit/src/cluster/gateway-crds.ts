/**
 * Gateway API's own CRDs (standard channel): of its Go module, or of the folder that $AMBIT_GATEWAY_CRDS names. A cluster that has
 * some already keeps those.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { finish, kubectl, tryKubectl } from './kubectl.ts';

const MODULE = 'sigs.k8s.io/gateway-api@v1.6.0';
const FOLDER = join('config', 'crd', 'standard');
/** Beside them lies a policy of admission, which would outlive them. */
const DEFINITION = /^gateway\.networking\.k8s\.io_(?!vap_)\w+\.yaml$/;

/** Resolves with how to take them away again: all objects of these kinds go with them. */
export async function installGatewayCrds(): Promise<() => Promise<void>> {
  const found = await tryKubectl(['get', 'crd', 'gateways.gateway.networking.k8s.io']);
  if (found.code === 0) return async () => await Promise.resolve();
  const given = process.env['AMBIT_GATEWAY_CRDS'] ?? '';
  const folder = given === '' ? join(await moduleFolder(), FOLDER) : given;
  const files = readdirSync(folder)
    .filter((name) => DEFINITION.test(name))
    .flatMap((name) => ['-f', join(folder, name)]);
  await kubectl(['apply', '--server-side', ...files]);
  await kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...files]);
  return async () => void (await kubectl(['delete', '--wait=false', ...files]));
}

async function moduleFolder(): Promise<string> {
  const { code, stdout, stderr } = await finish(
    spawn('go', ['mod', 'download', '-json', MODULE], { stdio: 'pipe' }),
  );
  assert.equal(code, 0, `${stderr}${stdout}`);
  return (JSON.parse(stdout) as { readonly Dir: string }).Dir;
}
