/** Methods, in the one reading that policies and explanations have of them too. */
export { isMethod } from '@ambit/api';
