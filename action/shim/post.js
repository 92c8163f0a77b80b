// Post part of the step, which runs however main ended: settles what it left.
'use strict';
require('./shim').part('post');
