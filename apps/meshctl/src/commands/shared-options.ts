/** Options that several commands have, spelled and explained alike. */
import { Option } from 'commander';
import { OUTPUT_FORMATS } from '../output.ts';

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how the result looks')
    .choices([...OUTPUT_FORMATS])
    .default('table');
}

export function namespaceOption(): Option {
  return new Option('-n, --namespace <name>', 'only of this namespace');
}
