# lutra_module(NAME SOURCES ... LINK ... PRIVATE_LINK ...)
# A static library lutra_<NAME> of the current directory. Its headers are included as "<NAME>/x.h".
function(lutra_module NAME)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
    get_filename_component(parent "${CMAKE_CURRENT_SOURCE_DIR}" DIRECTORY)
    if(ARG_SOURCES)
        add_library(lutra_${NAME} STATIC ${ARG_SOURCES})
        target_include_directories(lutra_${NAME} PUBLIC "${CMAKE_BINARY_DIR}/include/${NAME}")
        target_link_libraries(lutra_${NAME} PUBLIC lutra_flags ${ARG_LINK}
            PRIVATE ${ARG_PRIVATE_LINK})
    else()
        add_library(lutra_${NAME} INTERFACE)
        target_include_directories(lutra_${NAME} INTERFACE "${CMAKE_BINARY_DIR}/include/${NAME}")
        target_link_libraries(lutra_${NAME} INTERFACE lutra_flags ${ARG_LINK})
    endif()
    # build/include/<module>/<module> -> the source folder: the include path holds one module only.
    file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/include/${NAME}")
    file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/include/${NAME}/${NAME}"
        SYMBOLIC)
endfunction()

# lutra_program(NAME SOURCES ... LINK ...): an executable in build/bin.
function(lutra_program NAME)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${NAME} ${ARG_SOURCES})
    target_link_libraries(${NAME} PRIVATE lutra_flags ${ARG_LINK})
    set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
endfunction()

# Criterion's assertion macros do not survive the strictest warnings. A library, since options of a
# target itself stand before those of lutra_flags and would be overruled by them.
add_library(lutra_test_flags INTERFACE)
target_compile_options(lutra_test_flags INTERFACE -Wno-pedantic -Wno-conversion -Wno-shadow
    -Wno-missing-prototypes -Wno-cast-qual -Wno-write-strings -Wno-format-nonliteral)

# lutra_test(NAME LABEL unit|component|integration|stress SOURCES ... LINK ... [PLAIN] [TIMEOUT s])
# A Criterion binary (PLAIN: its own main, for what cannot run under Criterion) registered with ctest.
function(lutra_test NAME)
    cmake_parse_arguments(ARG "PLAIN" "LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
    add_executable(${NAME} ${ARG_SOURCES})
    target_link_libraries(${NAME} PRIVATE lutra_flags ${ARG_LINK})
    if(NOT ARG_PLAIN)
        target_link_libraries(${NAME} PRIVATE criterion)
    endif()
    target_link_libraries(${NAME} PRIVATE lutra_test_flags)
    set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 60)
    endif()
    # tests/run counts test cases by these files.
    set(report)
    if(NOT ARG_PLAIN)
        set(report "--tap=${CMAKE_BINARY_DIR}/tests/results/${NAME}.tap")
        file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/tests/results")
    endif()
    add_test(NAME ${ARG_LABEL}/${NAME} COMMAND ${NAME} ${report})
    # The long ones begin first.
    set_tests_properties(${ARG_LABEL}/${NAME} PROPERTIES LABELS ${ARG_LABEL}
        TIMEOUT ${ARG_TIMEOUT} COST ${ARG_TIMEOUT} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    if(ARG_LABEL STREQUAL integration)
        # A set of servers of its own among those that tests/run has started.
        set_tests_properties(${ARG_LABEL}/${NAME} PROPERTIES RESOURCE_GROUPS "stacks:1")
    endif()
endfunction()
