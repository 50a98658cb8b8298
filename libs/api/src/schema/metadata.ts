/** `metadata`: what the mesh reads of it. Fields of Kubernetes that the mesh does not read are left alone. */
import * as z from 'zod';
import type { ObjectMeta } from '../types/meta.ts';
import { leaf, listOf, name, reportType, reshape, text } from './build.ts';
import { labels } from './values.ts';

const NAME = /^[a-z0-9](?:[-a-z0-9.:]{0,251}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

const objectName = leaf<string>(
  (raw, report) => {
    if (typeof raw === 'string' && NAME.test(raw)) return raw;
    if (typeof raw !== 'string') reportType(raw, 'a string', report);
    else {
      report({
        code: 'INVALID_NAME',
        message: 'is not a name that Kubernetes accepts',
        allowed: 'lower-case letters, digits, - and ., at most 253 characters',
      });
    }
    return undefined;
  },
  (value) => value,
);

const namespaceName = leaf<string>(
  (raw, report) => {
    if (typeof raw === 'string' && (raw === '' || NAMESPACE.test(raw))) return raw;
    if (typeof raw !== 'string') reportType(raw, 'a string', report);
    else {
      report({
        code: 'INVALID_NAME',
        message: 'is not the name of a namespace',
        allowed: 'lower-case letters, digits and -, at most 63 characters',
      });
    }
    return undefined;
  },
  (value) => value,
);

const timestamp = leaf<number>(
  (raw, report) => {
    const ms = typeof raw === 'string' ? Date.parse(raw) : Number.NaN;
    if (Number.isFinite(ms)) return Math.max(0, ms);
    report({
      code: 'INVALID_VALUE',
      message: 'is not a time',
      allowed: 'RFC 3339, such as 2026-01-31T12:00:00Z',
    });
    return undefined;
  },
  (value) => new Date(value).toISOString(),
);

const ownerReference = z.object({
  apiVersion: text.default(''),
  kind: name,
  name,
  uid: text.exactOptional(),
  controller: z.boolean().exactOptional(),
});

const written = z.object({
  name: objectName,
  namespace: namespaceName.exactOptional(),
  uid: text.exactOptional(),
  generation: z.number().exactOptional(),
  creationTimestamp: timestamp.exactOptional(),
  labels,
  annotations: labels,
  ownerReferences: listOf(ownerReference).exactOptional(),
});

/** The namespace is '' where none is written; whoever knows the kind puts in the default. */
export const metadata: z.ZodType<ObjectMeta> = reshape<z.output<typeof written>, ObjectMeta>(
  written,
  ({ creationTimestamp, generation, namespace, ...rest }) => ({
    ...rest,
    namespace: namespace ?? '',
    generation: generation ?? 0,
    creationTimestampMs: creationTimestamp ?? 0,
  }),
  ({ creationTimestampMs, generation, namespace, ...rest }) => ({
    ...rest,
    ...(rest.ownerReferences === undefined ? {} : { ownerReferences: [...rest.ownerReferences] }),
    ...(namespace === '' ? {} : { namespace }),
    ...(generation === 0 ? {} : { generation }),
    ...(creationTimestampMs === 0 ? {} : { creationTimestamp: creationTimestampMs }),
    labels: { ...rest.labels },
    annotations: { ...rest.annotations },
  }),
);
