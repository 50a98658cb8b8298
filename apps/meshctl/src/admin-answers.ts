/** The admin API's answers as types. The shapes are libs/model's; what is looked at here is their outline. */
import type { ObjectKey } from '@ambit/api';
import {
  type AdminCertificate,
  type AdminObject,
  type AdminProxies,
  type DecodedSnapshot,
  decodeSnapshot,
  type MeshService,
  type MeshSummary,
  meshSummary,
  type Workload,
  withConditionsOfNow,
} from '@ambit/model';
import type { AdminClient } from './admin-client.ts';
import { EXIT, UserError } from './errors.ts';

export async function getObjects(client: AdminClient): Promise<readonly AdminObject[]> {
  return entriesWith<AdminObject>(await client.list('/v1/objects'), 'key').map(withConditionsOfNow);
}

/** `undefined`: there is no such object. */
export async function getObject(
  client: AdminClient,
  key: ObjectKey,
): Promise<AdminObject | undefined> {
  const path = `/v1/objects/${key.split('/').map(encodeURIComponent).join('/')}`;
  const { status, body } = await client.ask(path);
  if (status === 404) return undefined;
  const [object] = entriesWith<AdminObject>([body], 'key');
  return object === undefined ? undefined : withConditionsOfNow(object);
}

/** A controller that is older than this page says all that it has instead, and the summary is made of it here. */
export async function getSummary(
  client: AdminClient,
  { controller, proxies }: AdminProxies,
): Promise<MeshSummary> {
  const { status, body } = await client.ask('/v1/summary');
  if (status === 404) return meshSummary(await getObjects(client), proxies, controller.revision);
  const isOne =
    status === 200 &&
    isRecord(body) &&
    isRecord(body['kinds']) &&
    isRecord(body['more']) &&
    Array.isArray(body['namespaces']) &&
    Array.isArray(body['troubled']);
  if (isOne) return body as unknown as MeshSummary;
  throw notUnderstood('/v1/summary');
}

export async function getWorkloads(client: AdminClient): Promise<readonly Workload[]> {
  return entriesWith<Workload>(await client.list('/v1/workloads'), 'uid');
}

export async function getServices(client: AdminClient): Promise<readonly MeshService[]> {
  return entriesWith<MeshService>(await client.list('/v1/services'), 'hostname');
}

export async function getCertificates(client: AdminClient): Promise<readonly AdminCertificate[]> {
  return entriesWith<AdminCertificate>(await client.list('/v1/certificates'), 'identity');
}

export async function getProxies(client: AdminClient): Promise<AdminProxies> {
  const body = await client.get('/v1/proxies');
  if (isRecord(body) && isRecord(body['controller']) && Array.isArray(body['proxies'])) {
    return body as unknown as AdminProxies;
  }
  throw notUnderstood('/v1/proxies');
}

export async function getSnapshot(client: AdminClient): Promise<DecodedSnapshot> {
  return decodeSnapshot(await client.get('/v1/snapshot'));
}

function entriesWith<T>(entries: readonly unknown[], field: string): readonly T[] {
  if (!entries.every((entry) => isRecord(entry) && typeof entry[field] === 'string')) {
    throw notUnderstood(`a list by "${field}"`);
  }
  return entries as readonly T[];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function notUnderstood(what: string): UserError {
  return new UserError(`the controller's answer is not understood: ${what}`, {
    why: 'it may be of another version than meshctl',
    exitCode: EXIT.unavailable,
  });
}
