/** `meshctl get certificates`: the last one issued for each identity to each proxy. */
import type { AdminCertificate } from '@ambit/model';
import { getCertificates, getProxies } from '../admin-answers.ts';
import { formatSpan } from '../output.ts';
import { type GetQuery, showView } from './get-query.ts';

export async function getCertificatesView(query: GetQuery): Promise<void> {
  const { nowMs } = (await getProxies(query.client)).controller;
  showView<AdminCertificate>(
    {
      what: 'certificates',
      items: await getCertificates(query.client),
      nameOf: ({ identity }) => identity,
      namespaceOf: ({ identity }) => /\/ns\/([^/]+)\//.exec(identity)?.[1] ?? '',
      columns: ['IDENTITY', 'PROXY', 'STATE', 'ISSUED', 'EXPIRES', 'SERIAL'],
      rowOf: ({ identity, proxy, serial, notBeforeMs, notAfterMs }) => [
        identity,
        proxy,
        notAfterMs <= nowMs ? 'expired' : 'valid',
        `${formatSpan(nowMs - notBeforeMs)} ago`,
        notAfterMs <= nowMs
          ? `${formatSpan(nowMs - notAfterMs)} ago`
          : `in ${formatSpan(notAfterMs - nowMs)}`,
        serial,
      ],
    },
    query,
  );
}
