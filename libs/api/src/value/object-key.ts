/** Names of objects, and whether labels fit a selector. */
import type { ObjectKey } from '../types/finding.ts';

/** `VirtualService/shop/reviews`; `Namespace/shop` where there is no namespace. */
export function objectKey(object: {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
}): ObjectKey {
  const { name, namespace } = object.metadata;
  return namespace === '' ? `${object.kind}/${name}` : `${object.kind}/${namespace}/${name}`;
}

/** True if every label of `selector` is there with the same value; an empty selector fits everything. */
export function matchesLabels(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(
    ([key, value]) => Object.hasOwn(labels, key) && labels[key] === value,
  );
}
