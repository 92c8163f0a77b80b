#!/bin/sh
# Counts the words of the README.
wc -w < README.md
