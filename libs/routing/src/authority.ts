/** Authorities, which intake of objects reads too. */
export { formatAuthority, type ParsedAuthority, parseAuthority } from '@ambit/api';
