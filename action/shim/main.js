// Main part of the step: draws a handle, tells post of it, and starts the binary.
'use strict';
require('./shim').part('main');
