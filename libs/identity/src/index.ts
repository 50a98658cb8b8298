/** Who is who in the mesh: SPIFFE ids, certificate requests, the CA, tokens, and rotation. */
export {
  authorizeCertificateRequest,
  type CertificateAuthorization,
  type CertificateAuthorizationInput,
  type PodIndex,
  type PodRecord,
} from './authorize.ts';
export { type CaTexts, createOwnRoot } from './ca-material.ts';
export {
  CertificateAuthority,
  type CertificateAuthorityOptions,
  type CertificateIssuer,
  type IssuedCertificate,
  type ServingCertificate,
} from './certificate-authority.ts';
export type { CertificateSigner, WorkloadCertificate } from './certificate-fetch.ts';
export {
  type CertificateCounters,
  type CertificateEvent,
  CertificateManager,
  type CertificateManagerOptions,
} from './certificate-manager.ts';
export { type ChainOptions, verifyChain } from './chain.ts';
export { type CrlStatus, CrlWatch, type CrlWatchOptions } from './crl-watch.ts';
export {
  type CertificateRequest,
  createCertificateRequest,
  type ParsedCsr,
  parseCsrDer,
  parseCsrPem,
} from './csr.ts';
export { type CertificateDump, type CertificateEntry, describeCertificates } from './dump.ts';
export { IdentityError, type IdentityErrorCode } from './errors.ts';
export { type KeyUsage, type LeafFacts, readLeaf } from './leaf.ts';
export { decodePem, encodePem, parseCertificates } from './pem.ts';
export {
  CRL_FILE_BYTES_MAX,
  type CrlSummary,
  RevocationLists,
  type RevocationState,
  revocationsOf,
} from './revocation-lists.ts';
export {
  type ChainLink,
  chainLinks,
  type RevocationProblem,
  type Revocations,
} from './revocation-status.ts';
export { RootWatch, type RootWatchOptions } from './root-watch.ts';
export { formatSpiffeId, parseSpiffeId, type SpiffeId } from './spiffe.ts';
export {
  JwksTokenVerifier,
  PodTokenIssuer,
  TOKEN_AUDIENCE,
  type TokenCaller,
  type TokenVerifier,
} from './token.ts';
export { type TrustMark, trustMark, trustNames, trustProblem } from './trust-names.ts';
export {
  LeafError,
  type LeafProblem,
  type PeerRole,
  spiffeIdOfCertificate,
  type WorkloadId,
  workloadOfLeaf,
} from './workload-leaf.ts';
export {
  type BuiltCertificate,
  buildCa,
  buildLeaf,
  type CaOptions,
  type Issuer,
  type LeafOptions,
  type Validity,
} from './x509.ts';
export type { GeneralName } from './x509-extensions.ts';
