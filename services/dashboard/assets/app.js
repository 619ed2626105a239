// What a page does besides being read. Every part works without the others; the page itself works without any.

import './clock.js';
import './folded.js';
import './forms.js';
import './keys.js';
import './order.js';
import './plot.js';
import './search.js';
import './view.js';
import { follow } from './live.js';

// Before a new password is set nothing is shown that could grow old.
if (document.querySelector('.status')) follow();
