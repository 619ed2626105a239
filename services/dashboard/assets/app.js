// What a page does besides being read. Every part works without the others; the page itself works without any.

import './clock.js';
import './forms.js';
import './keys.js';
import './plot.js';
import './search.js';
import './view.js';
import { follow } from './live.js';

follow();
